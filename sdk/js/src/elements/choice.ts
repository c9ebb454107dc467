/** <thumbwheel-choice>: the person says which of 2 to 8 answers or images is better. One press decides; undo takes it back. */
import { button, h } from "./dom.js";
import { FeedbackElement } from "./base.js";
import { contentNodes, plainText } from "./interaction.js";
import type { KeyList } from "./keys.js";
import type { Outcome } from "../wire.js";
import { CHOICE_CSS } from "./styles.js";
import { Dwell } from "./dwell.js";

export class ThumbwheelChoice extends FeedbackElement {
  private decided: { outcome: Outcome; chosen: string | null } | null = null;
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
    this.refocus(held);
  }

  private card(index: number): HTMLElement {
    const candidate = this.interaction!.candidates[index]!;
    const name = this.say("reply", index + 1);
    const chosen = this.decided?.chosen === candidate.candidate_id;
    const choose = button(this.say("prefer"), String(index + 1), "choose", () => this.decide("chosen", candidate.candidate_id));
    choose.setAttribute("aria-label", `${this.say("prefer")}: ${name}`);
    choose.setAttribute("aria-pressed", String(chosen));
    choose.setAttribute("data-key", String(index + 1));
    choose.toggleAttribute("data-focus", index === 0);
    choose.disabled = this.decided !== null && !chosen;
    const state = chosen ? " chosen" : this.decided?.outcome === "tie" || !this.decided ? "" : " dim";
    return h(
      "article",
      { part: `candidate${state}`, class: `card${state}`, "aria-label": name },
      h("div", { class: "content" }, ...contentNodes(candidate.content, name, this.say("broken"))),
      choose,
    );
  }

  private whole(outcome: "tie" | "none", key: string, label: "bothGood" | "noneGood"): HTMLButtonElement {
    const node = button(this.say(label), key, outcome, () => this.decide(outcome, null));
    const chosen = this.decided?.outcome === outcome;
    node.setAttribute("aria-pressed", String(chosen));
    node.setAttribute("data-key", outcome);
    node.disabled = this.decided !== null && !chosen;
    return node;
  }

  private decide(outcome: Outcome, chosen: string | null): boolean {
    if (this.decided || !this.interaction) return false;
    const { candidates } = this.interaction;
    this.decided = { outcome, chosen };
    const text = plainText(candidates.find((candidate) => candidate.candidate_id === chosen)?.content);
    const shown = candidates.map((candidate) => candidate.candidate_id);
    const context = { dwell_ms: this.dwell.read() };
    this.submit("choice", { shown, chosen, outcome, context }, text, () => {
      this.decided = null;
      this.render();
    });
    this.render();
    return true;
  }

  protected override onKey(key: string): boolean {
    const candidate = this.interaction?.candidates[Number(key) - 1];
    if (/^[1-8]$/.test(key) && candidate) return this.decide("chosen", candidate.candidate_id) || true;
    if (key === "0" || key === "t") return this.decide("tie", null) || true;
    if (key === "b") return this.decide("none", null) || true;
    return false;
  }
}
