/** What all elements share: client and interaction, language, keys, submitting, undo, and where errors stand. */
import { getClient } from "../index.js";
import { uuid7 } from "../uuid.js";
import type { Fields, Problem, Retract } from "../wire.js";
import { Deliveries, type FeedbackClient, give } from "./deliveries.js";
import { adopt, button, h } from "./dom.js";
import { copyOf, fill, type Shown, readInteraction } from "./interaction.js";
import { type KeyList, keysOn, keysPanel, listenToKeys, modifier } from "./keys.js";
import { type Label, LABELS, language } from "./labels.js";
import { langAt, onLanguage } from "./language.js";
import { BASE_CSS } from "./styles.js";

export type { FeedbackClient } from "./deliveries.js";

type Kind = "thumb" | "choice" | "pick" | "annotation";
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
  private ownClient: FeedbackClient | null = null;
  protected shown: Shown | null = null;
  /** What feedback given here is about; empty while nothing is shown. */
  protected subject = "";
  private endLanguage: (() => void) | undefined;
  private last: { event: Submitted; shown: Shown; restore: () => void } | null = null;
  private readonly deliveries = new Deliveries(
    (label) => this.say(label),
    (problem, event) => this.fail(problem, event),
  );
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
      key: (key, held) => (key === "?" ? this.toggleHelp() : this.onKey(key, held)),
      submit: () => this.onSubmitKey(),
      undo: () => this.undo(),
      escape: () => (this.help.hidden ? this.onEscape() : this.toggleHelp()),
    });
  }

  protected abstract get keyList(): KeyList;
  /** Builds `body` for the interaction (or for none). */
  protected abstract render(): void;
  /** Acts on an unmodified key, `held` when it repeats; true when it meant something. */
  protected onKey(_key: string, _held: boolean): boolean {
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
    if (this.isConnected) this.deliveries.listen(this.client);
  }

  /** The JSON of `/v1/candidates`, or a chat completion. */
  get interaction(): Shown | null {
    return this.shown && copyOf(this.shown);
  }

  set interaction(value: unknown) {
    this.shown = readInteraction(value);
    this.look();
  }

  /** Shows what there is now. Where feedback would be about something else, the element begins anew. */
  protected look(): void {
    const subject = this.shown ? this.subjectOf(this.shown) : "";
    const same = subject === this.subject;
    const before = this.subject;
    this.subject = subject;
    if (!same) this.changed(before);
    if (this.isConnected) this.paint(same && !!subject);
  }

  /** What feedback is about: the interaction, and the replies on the screen in their order. */
  protected subjectOf(shown: Shown): string {
    return [shown.interaction_id, ...shown.candidates.map((one) => one.candidate_id)].join("\n");
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

  /** Called before the first render of something else to give feedback on; `before` is what it was about so far. */
  protected changed(_before: string): void {}

  connectedCallback(): void {
    // A vote is about the interaction that was set with it, an answer about the label too.
    for (const name of ["client", "reasons", "label", "interaction", "vote", "answer"]) this.upgrade(name);
    this.deliveries.listen(this.client);
    this.endLanguage = onLanguage(() => this.box.lang !== this.locale && this.relabel());
    this.relabel();
  }

  disconnectedCallback(): void {
    this.deliveries.end();
    this.endLanguage?.();
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

  protected get locale(): keyof typeof LABELS {
    return language(langAt(this));
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
    const shown = copyOf(this.shown!);
    const event = this.about(type, fields);
    this.fail(null);
    this.last = { event, shown, restore };
    if (this.tell("thumbwheel-submit", { event, text })) {
      this.deliveries.send(this.client, event.event_id, event, (client) => give(client, event));
    }
    this.showUndo(event);
  }

  /** Feedback on what is shown, made now. */
  protected about<K extends Kind>(type: K, fields: Omit<Fields[K], "interaction_id">): Submitted {
    const { interaction_id, conversation_id, campaign } = this.shown!;
    const made = { type, event_id: uuid7(), occurred_at: new Date().toISOString(), interaction_id, conversation_id, campaign };
    return { ...made, ...fields } as unknown as Submitted;
  }

  /** Takes the last submission back and shows it again. */
  protected undo(): boolean {
    const { last } = this;
    if (!last) return false;
    const inside = this.hasFocus;
    this.forgetUndo();
    this.takeBack(last.event, last.shown, true);
    if (this.subjectOf(last.shown) !== this.subject) this.interaction = last.shown;
    last.restore();
    if (inside) this.focus();
    this.report(this.say("undone"));
    return true;
  }

  /** Retracts feedback; feedback that was not `sent` from here goes before its retraction, in whose place it stands. */
  protected takeBack(event: Submitted, shown: Shown, sent: boolean): void {
    const { interaction_id, conversation_id, event_id: target } = event;
    const retract: Retract = { interaction_id, conversation_id, target, event_id: uuid7(), occurred_at: new Date().toISOString() };
    if (!this.tell("thumbwheel-undo", { event, retract, interaction: copyOf(shown) })) return;
    this.deliveries.send(this.client, retract.event_id!, event, (client) => {
      if (!sent) give(client, event);
      return client.retract(retract);
    });
  }

  /** The submission that an undo would take back. */
  protected get undoable(): Submitted | null {
    return this.last?.event ?? null;
  }

  protected forgetUndo(): void {
    this.last = null;
    clearTimeout(this.undoTimer);
    this.report("");
  }

  /** Says what happened, beside `undo` where it can be undone. */
  protected report(said: string, undo: HTMLButtonElement | "" = ""): void {
    this.status.textContent = said;
    while (this.bar.lastChild !== this.status) this.bar.removeChild(this.bar.lastChild!);
    this.bar.append(undo);
  }

  protected fail(problem: Problem | null, event?: Submitted): void {
    // What became of feedback on something else is told, not shown: it would stand beside the wrong reply.
    if (!event || this.concerns(event)) {
      this.alert.textContent = problem ? [problem.message, problem.hint].filter(Boolean).join(" ") : "";
    }
    if (problem && event) this.tell("thumbwheel-error", { error: problem, event });
  }

  /** Whether what became of this feedback is to be shown beside what is on the screen now. */
  protected concerns(_event: Submitted): boolean {
    return true;
  }

  private showUndo({ type }: Submitted): void {
    clearTimeout(this.undoTimer);
    const label = type === "thumb" || type === "annotation" ? "thanks" : "submitted";
    this.report(this.say(label), button(this.say("undo"), "", "quiet undo", () => this.undo()));
    const seconds = Number(this.getAttribute("undo-seconds"));
    if (seconds > 0) this.undoTimer = setTimeout(() => this.forgetUndo(), seconds * 1000);
  }

  private tell(name: string, detail: object): boolean {
    return this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, cancelable: true, detail }));
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
    if (this.last) this.showUndo(this.last.event);
  }

  /** A property set before the element was defined shadows the accessor: set it again. */
  private upgrade(name: string): void {
    if (!(name in Object.getPrototypeOf(this)) || !Object.prototype.hasOwnProperty.call(this, name)) return;
    const own = this as unknown as Record<string, unknown>;
    const value = own[name];
    delete own[name];
    own[name] = value;
  }
}
