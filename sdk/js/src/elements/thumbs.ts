/** <thumbwheel-thumbs>: up or down for one reply, then reasons and a comment for whoever wants to say more. */
import { button, h } from "./dom.js";
import { FeedbackElement, type Submitted } from "./base.js";
import { candidateOf, type Shown } from "./interaction.js";
import type { KeyList } from "./keys.js";
import { modifier } from "./keys.js";
import { type Label, LABELS } from "./labels.js";
import { THUMBS_CSS } from "./styles.js";

export interface Reason {
  /** What is stored. */
  value: string;
  /** What is shown; a built-in reason has its own label. */
  label?: string;
}

type Value = "up" | "down";

const REASONS: Record<Value, Reason[]> = {
  up: [{ value: "helpful" }, { value: "accurate" }, { value: "clear" }],
  down: [
    { value: "incorrect" }, { value: "unhelpful" }, { value: "incomplete" },
    { value: "too_long" }, { value: "tone" }, { value: "unsafe" },
  ],
};

const ICON: Record<Value, string> = {
  up: "M7 10v11H4a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1h3Zm2 0 4-7c1.7 0 2.6 1.3 2.3 2.8L14.6 9H20a1.5 1.5 0 0 1 1.5 1.8l-1.6 8.4A2 2 0 0 1 18 21H9V10Z",
  down: "M17 14V3h3a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-3Zm-2 0-4 7c-1.7 0-2.6-1.3-2.3-2.8L9.4 15H4a1.5 1.5 0 0 1-1.5-1.8L4.1 4.8A2 2 0 0 1 6 3h9v11Z",
};

/** Where a person stands with one reply. */
interface Stand {
  value: Value | null;
  /** The thumb given here, if any: what a press on it takes back. */
  given: Submitted | null;
  panelOpen: boolean;
  chosen: Set<string>;
  comment: string;
  /** The thumb that was taken back last. */
  restored: Value | null;
}

/** So many replies are remembered by an element that shows one after the other. */
const REMEMBERED = 100;

const fresh = (): Stand => ({ value: null, given: null, panelOpen: false, chosen: new Set(), comment: "", restored: null });

export class ThumbwheelThumbs extends FeedbackElement {
  static override observedAttributes = [...FeedbackElement.observedAttributes, "candidate-id"];

  private stand = fresh();
  private readonly stands = new Map<string, Stand>();
  private ownReasons = REASONS;

  constructor() {
    super(THUMBS_CSS);
  }

  protected get keyList(): KeyList {
    return [[[`${modifier()} ↵`], "send"]];
  }

  /** Reasons offered, by thumb: `{up: [{value, label}], down: […]}`. */
  get reasons(): Record<Value, Reason[]> {
    return this.ownReasons;
  }

  set reasons(reasons: Partial<Record<Value, Reason[]>>) {
    this.ownReasons = { ...REASONS, ...reasons };
    if (this.isConnected) this.paint();
  }

  /** The thumb shown as given, such as one of an earlier visit. */
  get vote(): Value | null {
    return this.stand.value;
  }

  set vote(value: Value | null) {
    if (this.stand.value !== value) this.stand.given = null;
    this.stand.value = value;
    if (this.isConnected) this.paint();
  }

  /** One reply; which others there are changes nothing. */
  protected override subjectOf(shown: Shown): string {
    return `${shown.interaction_id}\n${this.candidateIn(shown)}`;
  }

  /** The page shows the reply, not the element: what was said of another one, an undo too, has no place here any more. */
  protected override changed(before: string): void {
    const { stand, stands } = this;
    stands.delete(before);
    if (before) stands.set(before, stand);
    if (stands.size > REMEMBERED) stands.delete(stands.keys().next().value!);
    this.stand = stands.get(this.subject) ?? fresh();
    // Set before there was anything to vote on, as frameworks may: meant for what comes first.
    if (!before) this.stand.value ??= stand.value;
    this.forgetUndo();
    this.fail(null);
  }

  protected override concerns(event: Submitted): boolean {
    return this.subject === `${event.interaction_id}\n${(event as { candidate_id?: string }).candidate_id}`;
  }

  override attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (name === "candidate-id") this.look();
    else super.attributeChangedCallback(name, before, after);
  }

  protected render(): void {
    const held = this.heldFocus();
    this.body.replaceChildren(
      h("div", { class: "row", role: "group" }, this.thumb("up"), this.thumb("down")),
      this.stand.panelOpen ? this.panel() : "",
    );
    this.refocus(held);
  }

  private thumb(value: Value): HTMLButtonElement {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("d", ICON[value]);
    svg.append(path as Node);
    return h(
      "button",
      {
        type: "button", part: `thumb ${value}`, class: `thumb ${value}`, "data-key": value, "data-focus": value === "up",
        "aria-pressed": String(this.stand.value === value), "aria-label": this.say(value), title: this.say(value),
        disabled: !this.interaction, click: () => this.give(value),
      },
      svg as unknown as Node,
    );
  }

  private panel(): HTMLElement {
    const reasons = this.ownReasons[this.stand.value ?? "down"].map((reason) =>
      h(
        "button",
        {
          type: "button", part: "reason", class: "chip", "data-key": `r-${reason.value}`,
          "aria-pressed": String(this.stand.chosen.has(reason.value)), click: () => this.toggle(reason.value),
        },
        reason.label ?? this.reasonLabel(reason.value),
      ),
    );
    const field = h("textarea", { rows: "2", part: "comment", dir: "auto", "data-key": "comment", maxlength: "2000" });
    const { stand } = this;
    field.value = stand.comment;
    field.addEventListener("input", () => (stand.comment = field.value));
    return h(
      "div",
      { class: "panel", part: "panel", role: "group", "aria-label": this.say("why") },
      h("p", {}, this.say("why")),
      h("div", { class: "chips" }, ...reasons),
      h("label", {}, h("span", {}, this.say("comment")), field),
      h(
        "div",
        { class: "row" },
        button(this.say("send"), "", "primary send", () => this.sendReasons()),
        button(this.say("close"), "", "quiet close", () => this.close()),
      ),
    );
  }

  private reasonLabel(value: string): string {
    const label = `reason_${value}`;
    return label in LABELS.en ? this.say(label as Label) : value;
  }

  private candidateIn(shown: Shown): string {
    return candidateOf(shown, this.getAttribute("candidate-id"));
  }

  /** The same thumb again takes it back, also one of an earlier visit; the other one replaces it. */
  private give(value: Value): void {
    const { stand } = this;
    if (stand.value === value) {
      if (stand.given && this.undoable === stand.given) this.undo();
      else this.clearThumb(value);
      return;
    }
    if (stand.restored !== value) this.clear();
    stand.restored = null;
    stand.value = value;
    stand.panelOpen = true;
    this.vouch(value, {}, "");
    this.render();
  }

  private vouch(value: Value, said: object, text: string): void {
    this.submit("thumb", { candidate_id: this.candidateIn(this.shown!), value, ...said }, text, this.restore);
    this.stand.given = this.undoable;
  }

  /** A thumb whose event is not known here is given anew and that one taken back: then none is left, nor an earlier one. */
  private clearThumb(value: Value): void {
    const { given } = this.stand;
    this.takeBack(given ?? this.about("thumb", { candidate_id: this.candidateIn(this.shown!), value }), this.shown!, !!given);
    this.restore();
    this.report(this.say("undone"));
  }

  private sendReasons(): void {
    const { value, chosen } = this.stand;
    const comment = this.stand.comment.trim();
    if (value && (chosen.size || comment)) this.vouch(value, { reasons: [...chosen], ...(comment && { comment }) }, comment);
    this.close();
  }

  private toggle(reason: string): void {
    if (!this.stand.chosen.delete(reason)) this.stand.chosen.add(reason);
    this.render();
  }

  /** What was said with the thumb stays: the next thumb brings it back. */
  private readonly restore = (): void => {
    const { stand } = this;
    stand.restored = stand.value;
    stand.value = stand.given = null;
    stand.panelOpen = false;
    this.render();
  };

  private close(): void {
    const inside = this.hasFocus;
    this.stand.panelOpen = false;
    this.render();
    if (inside) this.body.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
  }

  private clear(): void {
    this.stand.panelOpen = false;
    this.stand.chosen.clear();
    this.stand.comment = "";
  }

  protected override onSubmitKey(): boolean {
    const open = this.stand.panelOpen;
    if (open) this.sendReasons();
    return open;
  }

  protected override onEscape(): boolean {
    const open = this.stand.panelOpen;
    if (open) this.close();
    return open;
  }
}
