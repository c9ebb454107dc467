/** <thumbwheel-workbench>: an agent picks one of the replies, may edit it, sends it, and goes on to the next. */
import { fnv } from "../campaigns.js";
import { FeedbackElement } from "./base.js";
import { button, h } from "./dom.js";
import { type Draft, fitting, FRESH } from "./draft.js";
import { dropDraft, readDraft, saveDraft } from "./drafts.js";
import { Dwell } from "./dwell.js";
import { Editor } from "./editor.js";
import { plainText } from "./interaction.js";
import { type KeyList, modifier } from "./keys.js";
import { Peers } from "./peers.js";
import { WORKBENCH_CSS } from "./styles.js";

export class ThumbwheelWorkbench extends FeedbackElement {
  private draft: Draft = FRESH;
  private arrived = false;
  private waiting = false;
  /** Whether `autofocus` has had its one chance. */
  private greeted = false;
  /** Whether it stands there that another tab has sent this item. */
  private warned = false;
  private readonly peers = new Peers(() => this.heed());
  private focused: string | null = null;
  private readonly dwell = new Dwell();
  private editor: Editor | null = null;

  constructor() {
    super(WORKBENCH_CSS);
  }

  protected get keyList(): KeyList {
    const count = this.interaction?.candidates.length ?? 4;
    return [
      [["1", "–", String(count)], "keyPick"], [["0", "T"], "keyTie"], [["B"], "keyNone"], [["E"], "keyEdit"],
      [[`${modifier()} ↵`], "keySubmit"], [["←"], "keyBack"], [["→"], "keySkip"],
    ];
  }

  override connectedCallback(): void {
    this.peers.open();
    super.connectedCallback();
    document.addEventListener("visibilitychange", this.dwell.onVisibility);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.peers.close();
    document.removeEventListener("visibilitychange", this.dwell.onVisibility);
  }

  protected override changed(): void {
    const { shown } = this;
    this.draft = shown ? fitting(readDraft<Draft>(this.place(), shown.interaction_id), shown) : FRESH;
    this.dwell.resume(this.draft.dwell);
    this.focused = null;
    this.waiting = false;
    this.arrived = true;
    this.fail(null);
    this.heed();
  }

  /** Says whether another tab has sent this item. */
  private heed(): boolean {
    const sent = !!this.shown && !this.waiting && this.peers.haveSent(this.place());
    if (sent) this.fail({ code: "sent_elsewhere", message: this.say("sentElsewhere"), hint: this.say("sentElsewhereHint") });
    else if (this.warned) this.fail(null);
    this.warned = sent;
    return sent;
  }

  protected render(): void {
    const held = this.heldFocus();
    const { interaction } = this;
    const ready = interaction && !this.waiting;
    this.editor = ready ? new Editor(this.say, (text) => this.write(text)) : null;
    const content = ready
      ? [h("div", { class: "grid", part: "grid" }, ...interaction.candidates.map((_, i) => this.card(i))), this.editor!.node, this.actions()]
      : [this.idle()];
    const heading = h("h2", { part: "heading", tabindex: "-1", "data-focus": true, "data-key": "heading" }, this.headline());
    this.body.replaceChildren(heading, ...content);
    this.update();
    const gone = this.arrived || !this.body.querySelector(`[data-key="${held}"]`);
    this.refocus(held && gone ? "heading" : held);
    this.arrived = false;
    if (ready && !this.greeted) this.greet();
  }

  /** Takes the focus with the first item where the page asks for that, and nothing else has it. */
  private greet(): void {
    this.greeted = true;
    if (this.hasAttribute("autofocus") && document.activeElement === document.body) this.focus();
  }

  protected override arrive(): void {
    super.arrive();
    this.update();
  }

  private headline(): string {
    return this.getAttribute("heading") ?? this.say("pickHeading");
  }

  private idle(): HTMLElement {
    const coming = this.waiting || this.hasAttribute("loading");
    return h(
      "div",
      { class: "idle", part: coming ? "waiting" : "empty", "aria-busy": String(coming) },
      coming ? this.say("waiting") : h("slot", { name: "empty" }, this.say("empty")),
    );
  }

  private card(index: number): HTMLElement {
    const { candidate_id } = this.interaction!.candidates[index]!;
    const name = this.say("reply", index + 1);
    const pick = button(this.say("pick"), String(index + 1), "choose", () => this.pick(candidate_id));
    pick.setAttribute("data-key", String(index + 1));
    const card = h(
      "article",
      { part: "candidate", class: "card", "aria-label": name, "data-candidate": candidate_id },
      this.content(index),
      pick,
    );
    card.addEventListener("focusin", () => (this.focused = candidate_id));
    card.addEventListener("click", (event) => {
      const selecting = getSelection()?.isCollapsed === false;
      if (!pick.contains(event.target as Node) && !selecting) this.pick(candidate_id);
    });
    return card;
  }

  private actions(): HTMLElement {
    const parts: [HTMLButtonElement, string][] = [
      [button(this.say("tie"), "0", "tie", () => this.tie()), "tie"],
      [button(this.say("noneGood"), "B", "none", () => this.none()), "none"],
      [button(this.say("editReply"), "E", "edit-button", () => this.edit()), "edit"],
      [button(this.say("submit"), `${modifier()} ↵`, "primary submit", () => this.sendReply()), "submit"],
      [button(this.say("back"), "←", "quiet back", () => this.move("back")), "back"],
      [button(this.say("skip"), "→", "quiet skip", () => this.move("skip")), "skip"],
    ];
    for (const [node, key] of parts) node.setAttribute("data-key", key);
    return h("div", { class: "row actions", part: "actions" }, ...parts.map(([node]) => node), this.helpButton());
  }

  /** Brings what stands on the screen in line with the draft; nothing is rebuilt, so focus stays. */
  private update(): void {
    const { outcome, chosen, base, editing } = this.draft;
    for (const card of this.body.querySelectorAll<HTMLElement>("[data-candidate]")) {
      const picked = card.dataset.candidate === chosen;
      card.classList.toggle("chosen", picked);
      card.setAttribute("part", picked ? "candidate chosen" : "candidate");
      const pick = card.querySelector(".choose")!;
      pick.setAttribute("aria-pressed", String(picked));
      pick.querySelector("span")!.textContent = this.say(picked ? "picked" : "pick");
    }
    for (const whole of ["tie", "none"]) {
      this.body.querySelector(`.${whole}`)?.setAttribute("aria-pressed", String(outcome === whole));
    }
    if (!this.editor) return;
    this.editor.node.hidden = !editing;
    if (editing) this.editor.open(this.original(base), this.text());
  }

  private set(change: Partial<Draft>): void {
    this.draft = { ...this.draft, ...change };
    this.fail(null);
    this.keepDraft();
    this.update();
  }

  private keepDraft(): void {
    // Without consent nothing is stored.
    saveDraft(this.place(), { ...this.draft, dwell: this.dwell.read() }, this.client?.allowed !== false);
    dropDraft(this.shown!.interaction_id);
  }

  /** Where the draft of what is shown is kept: other replies to the same question have another one. */
  private place(): string {
    return `${this.client?.scope ?? "page"}.${this.shown!.interaction_id}.${fnv(this.subject).toString(36)}`;
  }

  private original(base: string | null): string {
    return plainText(this.interaction?.candidates.find((candidate) => candidate.candidate_id === base)?.content);
  }

  /** The reply as it would be sent. */
  private text(): string {
    return this.draft.texts[this.draft.base ?? ""] ?? this.original(this.draft.base);
  }

  private write(text: string): void {
    this.draft.texts = { ...this.draft.texts, [this.draft.base ?? ""]: text };
    this.keepDraft();
  }

  private pick(id: string): void {
    const edited = this.draft.texts[id] !== undefined;
    this.set({ outcome: "chosen", chosen: id, base: id, editing: edited });
  }

  private tie(): void {
    const base = this.focused ?? this.draft.base ?? this.interaction!.candidates[0]?.candidate_id ?? null;
    this.set({ outcome: "tie", chosen: null, base, editing: true });
    this.editor!.field.focus();
  }

  private none(): void {
    this.set({ outcome: "none", chosen: null, base: null, editing: true });
    this.editor!.field.focus();
  }

  private edit(): void {
    if (!this.draft.outcome && this.focused) this.pick(this.focused);
    if (!this.draft.outcome) {
      this.complain();
      return;
    }
    this.set({ editing: true });
    this.editor!.field.focus();
  }

  private complain(): void {
    this.fail({ code: "nothing_picked", message: this.say("nothingPicked"), hint: this.say("nothingPickedHint") });
  }

  private sendReply(): void {
    const { interaction, draft } = this;
    if (!interaction || this.waiting || this.heed()) return;
    if (!draft.outcome) {
      this.complain();
      return;
    }
    const { outcome, chosen, base } = draft;
    const text = this.text();
    const sent = text.trim() !== "";
    const dwell_ms = this.dwell.read();
    const edited = sent && text !== this.original(base) ? { edited_text: text } : {};
    const shown = interaction.candidates.map((candidate) => candidate.candidate_id);
    const restore = (): void => this.restore({ ...draft, dwell: dwell_ms });
    dropDraft(this.place(), interaction.interaction_id);
    this.peers.tell(this.place(), true);
    this.waiting = true;
    this.submit("pick", { shown, chosen, outcome, sent, dwell_ms, ...edited }, text, restore);
    if (this.waiting) this.render();
  }

  private restore(draft: Draft): void {
    this.draft = draft;
    this.peers.tell(this.place(), false);
    this.waiting = false;
    this.dwell.resume(draft.dwell);
    this.keepDraft();
    this.render();
  }

  /** The host owns the queue: it is told, and sets another `interaction`. */
  private move(direction: "back" | "skip"): void {
    const detail = { interaction: this.interaction };
    this.dispatchEvent(new CustomEvent(`thumbwheel-${direction}`, { bubbles: true, composed: true, detail }));
  }

  protected override onKey(key: string): boolean {
    // A person may also leave an item whose replies are still coming.
    if (!this.editor && !(key.startsWith("Arrow") && this.hasAttribute("loading"))) return false;
    const candidate = this.interaction?.candidates[Number(key) - 1];
    if (/^[1-8]$/.test(key) && candidate) this.pick(candidate.candidate_id);
    else if (key === "0" || key === "t") this.tie();
    else if (key === "b") this.none();
    else if (key === "e") this.edit();
    else if (key === "ArrowLeft") this.move("back");
    else if (key === "ArrowRight") this.move("skip");
    else return false;
    return true;
  }

  protected override onSubmitKey(): boolean {
    this.sendReply();
    return true;
  }

  /** Leaves the edit box; what was written stays, and the box with it. */
  protected override onEscape(): boolean {
    if (!this.editor || !this.draft.editing) return false;
    const untouched = this.text() === this.original(this.draft.base);
    if (untouched && this.draft.outcome === "chosen") this.set({ editing: false });
    (this.body.querySelector<HTMLElement>('[aria-pressed="true"]') ?? this).focus();
    return true;
  }
}
