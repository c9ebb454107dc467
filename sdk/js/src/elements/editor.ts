/** The edit box of the workbench, with what was removed and added against the original below it. */
import { diff } from "./diff.js";
import { h } from "./dom.js";
import type { Label } from "./labels.js";

export class Editor {
  readonly field = h("textarea", { rows: "4", part: "editor", dir: "auto", "data-key": "editor" });
  readonly node: HTMLElement;
  private readonly changes = h("div", { class: "diff", part: "diff", dir: "auto" });
  private readonly legend: HTMLElement;
  private original = "";
  private frame = 0;

  constructor(private readonly say: (label: Label) => string, input: (text: string) => void) {
    this.legend = h("p", { class: "legend" }, say("editHint"), " ", h("del", {}, say("removed")), " ", h("ins", {}, say("added")));
    this.node = h(
      "div",
      { class: "edit", part: "edit" },
      h("label", {}, h("span", {}, say("editing")), this.field),
      this.legend,
      this.changes,
    );
    this.field.addEventListener("input", () => {
      input(this.field.value);
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => this.compare());
    });
  }

  /** Shows `text` as an edit of `original`; an empty original is a reply of one's own, which has no changes to show. */
  open(original: string, text: string): void {
    this.original = original;
    const { field } = this;
    if (field.value !== text) {
      const { selectionStart, selectionEnd } = field;
      const written = (field.getRootNode() as ShadowRoot).activeElement === field && field.value;
      field.value = text;
      if (written) field.setSelectionRange(selectionStart, selectionEnd);
    }
    this.compare();
  }

  private compare(): void {
    this.legend.hidden = this.changes.hidden = !this.original;
    if (!this.original) return;
    if (this.field.value === this.original) {
      this.changes.replaceChildren(this.say("unchanged"));
      return;
    }
    this.changes.replaceChildren(
      ...diff(this.original, this.field.value).map(({ kind, text }) => (kind === "same" ? text : h(kind, {}, text))),
    );
  }
}
