/** What the three elements share: client and interaction, language, keys, submitting, undo, and where errors stand. */
import { getClient } from "../index.js";
import { uuid7 } from "../uuid.js";
import type { Client } from "../client.js";
import type { Delivery, Fields, Problem, Retract } from "../wire.js";
import { adopt, button, h } from "./dom.js";
import { fill, type Shown, readInteraction } from "./interaction.js";
import { type KeyList, keysOn, keysPanel, listenToKeys, modifier } from "./keys.js";
import { type Label, LABELS, language } from "./labels.js";
import { BASE_CSS } from "./styles.js";

/** The part of `Client` an element uses; a host may pass its own, whose calls may return promises. */
export type FeedbackClient = Pick<Client, "thumb" | "choice" | "pick" | "retract"> & Partial<Pick<Client, "subscribe" | "allowed">>;

type Kind = "thumb" | "choice" | "pick";
/** An event as an element hands it to the host: without actor and sdk, which the client adds. */
export type Submitted = Fields[Kind] & { type: Kind; event_id: string; occurred_at: string };

const Host = typeof HTMLElement === "undefined" ? (class {} as typeof HTMLElement) : HTMLElement;

export abstract class FeedbackElement extends Host {
  static observedAttributes = ["lang", "loading"];

  protected readonly body: HTMLElement = h("div", { part: "body", class: "body" });
  private readonly box = h("div", { part: "box", class: "box", tabindex: "-1" });
  private readonly status = h("span", { role: "status", part: "status" });
  private readonly bar = h("div", { part: "undo-bar", class: "bar" });
  private readonly alert = h("div", { role: "alert", part: "error", class: "alert" });
  private readonly help = h("div", { part: "keys", class: "help", hidden: true });
  private undoButton: HTMLButtonElement | null = null;
  private ownClient: FeedbackClient | null = null;
  private shown: Shown | null = null;
  /** Of the interaction and the replies on the screen. */
  private ids = "";
  private unsubscribe: (() => void) | undefined;
  private last: { event: Submitted; shown: Shown; restore: () => void } | null = null;
  private readonly awaited = new Map<string, Submitted>();
  private undoTimer: ReturnType<typeof setTimeout> | undefined;

  /** `css` is the element's own sheet, beside the common one. */
  constructor(css: string) {
    super();
    const root = this.attachShadow({ mode: "open" });
    adopt(root, BASE_CSS + css);
    this.bar.append(this.status);
    this.box.append(this.body, this.bar, this.alert, this.help);
    root.append(this.box);
    listenToKeys(root, {
      active: () => this.getAttribute("keys") !== "off" && keysOn(),
      key: (key) => (key === "?" ? this.toggleHelp() : this.onKey(key)),
      submit: () => this.onSubmitKey(),
      undo: () => this.undo(),
      escape: () => (this.help.hidden ? this.onEscape() : this.toggleHelp()),
    });
  }

  protected abstract get keyList(): KeyList;
  /** Builds `body` for the interaction (or for none). */
  protected abstract render(): void;
  /** Acts on an unmodified key; true when it meant something. */
  protected onKey(_key: string): boolean {
    return false;
  }
  /** Ctrl or Cmd with Enter. */
  protected onSubmitKey(): boolean {
    return false;
  }
  protected onEscape(): boolean {
    return false;
  }

  get client(): FeedbackClient | null {
    return this.ownClient ?? getClient();
  }

  set client(client: FeedbackClient | null) {
    this.ownClient = client;
    if (this.isConnected) this.listen();
  }

  /** The JSON of `/v1/candidates`, or a chat completion. */
  get interaction(): Shown | null {
    return this.shown;
  }

  set interaction(value: unknown) {
    const before = this.shown?.interaction_id;
    const ids = this.ids;
    this.shown = readInteraction(value);
    this.ids = [this.shown?.interaction_id, ...(this.shown?.candidates ?? []).map((one) => one.candidate_id)].join("\n");
    if (this.shown?.interaction_id !== before) this.changed();
    if (this.isConnected) this.paint(this.ids === ids && !!this.shown);
  }

  /** Shows what there is; `more` when only more of the same replies has arrived. A value that cannot be shown is said. */
  protected paint(more = false): void {
    try {
      more ? this.arrive() : this.render();
    } catch (error) {
      this.fail({ code: "failed", message: String(error) });
    }
  }

  /** Takes in more of the replies on the screen: nothing is rebuilt, so focus, caret and selection stay. */
  protected arrive(): void {
    this.body.querySelectorAll(".content").forEach((place, index) => this.fill(place, index));
  }

  /** The place of a reply's content. */
  protected content(index: number): HTMLElement {
    const place = h("div", { class: "content" });
    this.fill(place, index);
    return place;
  }

  private fill(place: Element, index: number): void {
    fill(place, this.shown!.candidates[index]!.content, this.say("reply", index + 1), this.say("broken"));
  }

  /** Called before the first render of another interaction. */
  protected changed(): void {}

  connectedCallback(): void {
    this.upgrade("client");
    this.upgrade("interaction");
    this.listen();
    this.relabel();
  }

  disconnectedCallback(): void {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    clearTimeout(this.undoTimer);
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (!this.isConnected || before === after) return;
    if (name === "lang") this.relabel();
    else if (name !== "loading" || !this.shown) this.paint();
  }

  override focus(options?: FocusOptions): void {
    (this.body.querySelector<HTMLElement>("[data-focus]") ?? this.box).focus(options);
  }

  protected get hasFocus(): boolean {
    return this.shadowRoot?.activeElement != null;
  }

  protected readonly say = (label: Label, n?: number): string =>
    LABELS[this.locale][label].replace("{n}", String(n ?? ""));

  private get locale(): keyof typeof LABELS {
    return language(this.closest<HTMLElement>("[lang]")?.lang || navigator.language);
  }

  /** `data-key` of what has focus inside, to be given back after a render. */
  protected heldFocus(): string | null {
    return this.shadowRoot!.activeElement?.getAttribute("data-key") ?? null;
  }

  /** Gives focus back after a render; to the box where its place is gone, so that keys go on acting. */
  protected refocus(held: string | null): void {
    if (held) (this.body.querySelector<HTMLElement>(`[data-key="${held}"]:not(:disabled)`) ?? this.box).focus();
  }

  protected helpButton(): HTMLButtonElement {
    const node = button(this.say("keys"), "?", "quiet keys-button", () => this.toggleHelp());
    node.setAttribute("data-key", "help");
    return node;
  }

  /** Sends feedback unless the host cancels `thumbwheel-submit`. `restore` brings the item back on undo. */
  protected submit<K extends Kind>(type: K, fields: Omit<Fields[K], "interaction_id">, text: string, restore: () => void): void {
    const shown = this.shown!;
    const event = {
      type,
      event_id: uuid7(),
      occurred_at: new Date().toISOString(),
      interaction_id: shown.interaction_id,
      conversation_id: shown.conversation_id,
      campaign: shown.campaign,
      ...fields,
    } as unknown as Submitted;
    this.fail(null);
    this.last = { event, shown, restore };
    if (this.tell("thumbwheel-submit", { event, text })) {
      this.send(event.event_id, event, (client) => client[type](event as never));
    }
    this.showUndo(type === "thumb" ? "thanks" : "submitted");
  }

  /** Takes the last submission back and shows it again. */
  protected undo(): boolean {
    const { last } = this;
    if (!last) return false;
    const inside = this.hasFocus;
    this.forgetUndo();
    const retract: Retract = {
      interaction_id: last.event.interaction_id,
      conversation_id: last.event.conversation_id,
      target: last.event.event_id,
      event_id: uuid7(),
      occurred_at: new Date().toISOString(),
    };
    if (this.tell("thumbwheel-undo", { event: last.event, retract, interaction: last.shown })) {
      this.send(retract.event_id!, last.event, (client) => client.retract(retract));
    }
    if (this.shown?.interaction_id !== last.shown.interaction_id) this.interaction = last.shown;
    last.restore();
    if (inside) this.focus();
    this.status.textContent = this.say("undone");
    return true;
  }

  /** The submission that an undo would take back. */
  protected get undoable(): Submitted | null {
    return this.last?.event ?? null;
  }

  protected forgetUndo(): void {
    this.last = null;
    clearTimeout(this.undoTimer);
    this.status.textContent = "";
    this.undoButton?.remove();
  }

  protected fail(problem: Problem | null, event?: Submitted): void {
    this.alert.textContent = problem ? [problem.message, problem.hint].filter(Boolean).join(" ") : "";
    if (problem && event) this.tell("thumbwheel-error", { error: problem, event });
  }

  private showUndo(label: Label): void {
    clearTimeout(this.undoTimer);
    this.status.textContent = this.say(label);
    this.undoButton?.remove();
    this.undoButton = button(this.say("undo"), "", "quiet undo", () => this.undo());
    this.bar.append(this.undoButton);
    const seconds = Number(this.getAttribute("undo-seconds"));
    if (seconds > 0) this.undoTimer = setTimeout(() => this.forgetUndo(), seconds * 1000);
  }

  private tell(name: string, detail: object): boolean {
    return this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, cancelable: true, detail }));
  }

  /** `id` is that of the event sent; `event` is the feedback it is about. */
  private send(id: string, event: Submitted, call: (client: FeedbackClient) => unknown): void {
    const { client } = this;
    if (!client) {
      this.lost(event, { code: "no_client", message: this.say("noClient"), hint: this.say("noClientHint") });
      return;
    }
    this.listen();
    this.awaited.set(id, event);
    Promise.resolve()
      .then(() => call(client))
      .catch((error: unknown) => this.lost(event, { code: "failed", message: error instanceof Error ? error.message : String(error) }));
  }

  private lost(event: Submitted, problem: Problem): void {
    const message = problem.code === "no_client" ? problem.message : `${this.say("notSaved")} ${problem.message}`;
    this.fail({ ...problem, message }, event);
  }

  private listen(): void {
    this.unsubscribe?.();
    this.unsubscribe = this.client?.subscribe?.((delivery: Delivery) => {
      const event = this.awaited.get(delivery.event_id);
      if (!event) return;
      this.awaited.delete(delivery.event_id);
      const code = delivery.error?.code ?? delivery.status;
      // What the host's own beforeSend drops is the host's wish, not a fault.
      if (delivery.status === "stored" || code === "before_send") return;
      this.lost(event, delivery.error ?? { code, message: "" });
    });
  }

  private toggleHelp(): true {
    const list: KeyList = [...this.keyList, [[`${modifier()} Z`], "keyUndo"], [["Esc"], "keyClose"], [["?"], "keyHelp"]];
    this.help.replaceChildren(keysPanel(list, this.say));
    this.help.hidden = !this.help.hidden;
    return true;
  }

  private relabel(): void {
    this.box.lang = this.locale;
    this.paint();
    if (this.last) this.showUndo(this.last.event.type === "thumb" ? "thanks" : "submitted");
  }

  /** A property set before the element was defined shadows the accessor: set it again. */
  private upgrade(name: "client" | "interaction"): void {
    if (!Object.prototype.hasOwnProperty.call(this, name)) return;
    const value = this[name];
    delete (this as Record<string, unknown>)[name];
    (this as Record<string, unknown>)[name] = value;
  }
}
