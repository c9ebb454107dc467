/** <thumbwheel-thumbs>: up or down for one reply, then reasons and a comment for whoever wants to say more. */
import { button, h } from "./dom.js";
import { FeedbackElement } from "./base.js";
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

export class ThumbwheelThumbs extends FeedbackElement {
  static override observedAttributes = [...FeedbackElement.observedAttributes, "candidate-id"];

  private value: Value | null = null;
  private panelOpen = false;
  private chosen = new Set<string>();
  private comment = "";
  /** The thumb that was taken back last. */
  private restored: Value | null = null;
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
    return this.value;
  }

  set vote(value: Value | null) {
    this.value = value;
    if (this.isConnected) this.render();
  }

  protected override changed(): void {
    this.value = this.restored = null;
    this.clear();
  }

  protected render(): void {
    const held = this.heldFocus();
    this.body.replaceChildren(
      h("div", { class: "row", role: "group" }, this.thumb("up"), this.thumb("down")),
      this.panelOpen ? this.panel() : "",
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
        "aria-pressed": String(this.value === value), "aria-label": this.say(value), title: this.say(value),
        disabled: !this.interaction, click: () => this.give(value),
      },
      svg as unknown as Node,
    );
  }

  private panel(): HTMLElement {
    const reasons = this.ownReasons[this.value ?? "down"].map((reason) =>
      h(
        "button",
        {
          type: "button", part: "reason", class: "chip", "data-key": `r-${reason.value}`,
          "aria-pressed": String(this.chosen.has(reason.value)), click: () => this.toggle(reason.value),
        },
        reason.label ?? this.reasonLabel(reason.value),
      ),
    );
    const field = h("textarea", { rows: "2", part: "comment", dir: "auto", "data-key": "comment", maxlength: "2000" });
    field.value = this.comment;
    field.addEventListener("input", () => (this.comment = field.value));
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

  private candidateId(): string {
    return this.getAttribute("candidate-id") ?? this.interaction!.candidates[0]?.candidate_id ?? "";
  }

  /** The same thumb again takes it back; the other one replaces it. */
  private give(value: Value): void {
    if (this.value === value && this.undoable) {
      this.undo();
      return;
    }
    if (this.restored !== value) this.clear();
    this.restored = null;
    this.value = value;
    this.panelOpen = true;
    this.submit("thumb", { candidate_id: this.candidateId(), value }, "", this.restore);
    this.render();
  }

  private sendReasons(): void {
    const comment = this.comment.trim();
    if (this.value && (this.chosen.size || comment)) {
      const said = { reasons: [...this.chosen], ...(comment && { comment }) };
      this.submit("thumb", { candidate_id: this.candidateId(), value: this.value, ...said }, comment, this.restore);
    }
    this.close();
  }

  private toggle(reason: string): void {
    if (!this.chosen.delete(reason)) this.chosen.add(reason);
    this.render();
  }

  /** What was said with the thumb stays: the next thumb brings it back. */
  private readonly restore = (): void => {
    this.restored = this.value;
    this.value = null;
    this.panelOpen = false;
    this.render();
  };

  private close(): void {
    const inside = this.hasFocus;
    this.panelOpen = false;
    this.render();
    if (inside) this.body.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
  }

  private clear(): void {
    this.panelOpen = false;
    this.chosen.clear();
    this.comment = "";
  }

  protected override onSubmitKey(): boolean {
    const open = this.panelOpen;
    if (open) this.sendReasons();
    return open;
  }

  protected override onEscape(): boolean {
    const open = this.panelOpen;
    if (open) this.close();
    return open;
  }
}
