/** <thumbwheel-choice>: the person says which of 2 to 8 answers or images is better. One press decides; undo takes it back. */
import { button, h } from "./dom.js";
import { FeedbackElement } from "./base.js";
import { plainText } from "./interaction.js";
import type { KeyList } from "./keys.js";
import type { Outcome } from "../wire.js";
import { CHOICE_CSS } from "./styles.js";
import { Dwell } from "./dwell.js";

interface Decided {
  outcome: Outcome;
  chosen: string | null;
}

export class ThumbwheelChoice extends FeedbackElement {
  private decided: Decided | null = null;
  private readonly dwell = new Dwell();

  constructor() {
    super(CHOICE_CSS);
  }

  protected get keyList(): KeyList {
    const count = this.interaction?.candidates.length ?? 2;
    return [[["1", "–", String(count)], "keyPick"], [["0", "T"], "keyTie"], [["B"], "keyNone"]];
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("visibilitychange", this.dwell.onVisibility);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.dwell.onVisibility);
  }

  protected override changed(): void {
    this.fail(null);
    this.decided = null;
    this.dwell.start();
  }

  protected render(): void {
    const shown = this.interaction;
    const held = this.heldFocus();
    if (!shown) {
      this.body.replaceChildren();
      return;
    }
    this.body.replaceChildren(
      h("h2", { part: "heading" }, this.getAttribute("heading") ?? this.say("choiceHeading")),
      h("div", { class: "grid", part: "grid" }, ...shown.candidates.map((_, i) => this.card(i))),
      h("div", { class: "row", part: "actions" },
        this.whole("tie", "0", "bothGood"), this.whole("none", "B", "noneGood"), this.helpButton()),
    );
    this.update();
    this.refocus(held);
  }

  private card(index: number): HTMLElement {
    const { candidate_id } = this.interaction!.candidates[index]!;
    const name = this.say("reply", index + 1);
    const choose = button(this.say("prefer"), String(index + 1), "choose", () => this.decide("chosen", candidate_id));
    choose.append(h("span", { class: "spoken" }, name));
    choose.setAttribute("data-key", String(index + 1));
    choose.toggleAttribute("data-focus", index === 0);
    return h("article", { class: "card", "aria-label": name, "data-candidate": candidate_id }, this.content(index), choose);
  }

  private whole(outcome: "tie" | "none", key: string, label: "bothGood" | "noneGood"): HTMLButtonElement {
    const node = button(this.say(label), key, outcome, () => this.decide(outcome, null));
    node.setAttribute("data-key", outcome);
    return node;
  }

  /** Brings the cards and buttons in line with the decision. */
  private update(): void {
    const { decided } = this;
    for (const card of this.body.querySelectorAll<HTMLElement>("[data-candidate]")) {
      const chosen = decided?.chosen === card.dataset.candidate;
      const state = chosen ? " chosen" : decided && decided.outcome !== "tie" ? " dim" : "";
      card.className = `card${state}`;
      card.setAttribute("part", `candidate${state}`);
      this.press(card.querySelector("button")!, chosen);
    }
    for (const whole of ["tie", "none"]) {
      this.press(this.body.querySelector(`.${whole}`)!, decided?.outcome === whole);
    }
  }

  private press(node: HTMLButtonElement, chosen: boolean): void {
    node.setAttribute("aria-pressed", String(chosen));
    node.disabled = this.decided !== null && !chosen;
  }

  private decide(outcome: Outcome, chosen: string | null): boolean {
    if (this.decided || !this.interaction) return false;
    const { candidates } = this.interaction;
    const decided = { outcome, chosen };
    const text = plainText(candidates.find((candidate) => candidate.candidate_id === chosen)?.content);
    const shown = candidates.map((candidate) => candidate.candidate_id);
    const context = { dwell_ms: this.dwell.read() };
    this.submit("choice", { shown, chosen, outcome, context }, text, () => this.settle(null));
    this.settle(decided);
    return true;
  }

  private settle(decided: Decided | null): void {
    const held = this.heldFocus();
    this.decided = decided;
    this.update();
    this.refocus(held);
  }

  protected override onKey(key: string): boolean {
    const candidate = this.interaction?.candidates[Number(key) - 1];
    if (/^[1-8]$/.test(key) && candidate) return this.decide("chosen", candidate.candidate_id) || true;
    if (key === "0" || key === "t") return this.decide("tie", null) || true;
    if (key === "b") return this.decide("none", null) || true;
    return false;
  }
}
