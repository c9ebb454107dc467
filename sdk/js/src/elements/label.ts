/**
 * <thumbwheel-label>: one question that a label asks, about an interaction or one of its replies. One press answers; several
 * choices, a text and a number on a long scale are sent. Another answer replaces the first.
 */
import { FeedbackElement, type Submitted } from "../elements.js";
import type { Annotation } from "../wire.js";
import { button, h } from "./dom.js";
import { candidateOf, type Shown } from "./interaction.js";
import { type KeyList, modifier } from "./keys.js";
import { LABEL_CSS } from "./label_styles.js";
import {
  type Answer, canAsk, type LabelDefinition, numberIn, type Offer, offersOf, readLabel, stepOf, wordsIn,
} from "./question.js";
import { QUESTION_WORDS, type QuestionWord } from "./question_words.js";

/** Where a person stands with one question about one thing. */
interface Stand {
  /** The answer that counts; null is none. */
  value: Answer | null;
  /** The event that gave it here, if any: what a second press takes back. */
  given: Submitted | null;
  /** What is chosen or written so far, where it is sent by a button. */
  chosen: string[];
  written: string;
}

/** So many questions are remembered by an element that shows one after the other. */
const REMEMBERED = 100;

const fresh = (): Stand => ({ value: null, given: null, chosen: [], written: "" });

export class ThumbwheelLabel extends FeedbackElement {
  static override observedAttributes = [...FeedbackElement.observedAttributes, "candidate-id"];

  private question: LabelDefinition | null = null;
  private offers: Offer[] = [];
  private stand = fresh();
  private readonly stands = new Map<string, Stand>();

  constructor() {
    super(LABEL_CSS);
  }

  protected get keyList(): KeyList {
    const keys = this.offers.map((one) => one.key.toUpperCase()).filter(Boolean);
    return [...(keys.length ? [[keys, "keyAnswer"] as KeyList[0]] : []), ...(this.sends ? [[[`${modifier()} ↵`], "send"] as KeyList[0]] : [])];
  }

  /** The label's definition, as the console's `/api/v1/labels/PATH` gives it. Null asks nothing. */
  get label(): LabelDefinition | null {
    return readLabel(this.question);
  }

  set label(value: unknown) {
    const label = readLabel(value);
    if (JSON.stringify(label) === JSON.stringify(this.question)) return;
    this.question = label;
    this.look();
    // The same question in other words.
    if (this.isConnected) this.paint();
  }

  /** The answer shown as given, such as one of an earlier visit. */
  get answer(): Answer | null {
    return this.stand.value;
  }

  set answer(value: Answer | null) {
    this.stand = { ...fresh(), value, chosen: Array.isArray(value) ? [...value] : [], written: Array.isArray(value) ? "" : `${value ?? ""}` };
    if (this.isConnected) this.paint();
  }

  /** Whether the answer goes by a button of its own, not by the press on it. */
  private get sends(): boolean {
    return !!this.question && (this.question.kind === "multi" || !this.offers.length);
  }

  protected override subjectOf(shown: Shown): string {
    const { question } = this;
    const unit = this.unitIn(shown);
    return question && unit !== null ? [shown.interaction_id, unit, question.path, question.kind].join("\n") : "";
  }

  /** What of the interaction is asked about: "" is all of it. Null where the reply has no name. */
  private unitIn(shown: Shown): string | null {
    return this.question?.scope === "candidate" ? candidateOf(shown, this.getAttribute("candidate-id")) || null : "";
  }

  protected override changed(before: string): void {
    const { stand, stands } = this;
    stands.delete(before);
    if (before) stands.set(before, stand);
    if (stands.size > REMEMBERED) stands.delete(stands.keys().next().value!);
    // An answer set before there was a question, as frameworks may, is meant for what comes first.
    this.stand = stands.get(this.subject) ?? (before ? fresh() : stand);
    this.forgetUndo();
    this.fail(null);
  }

  protected override concerns({ interaction_id, unit, answers }: Submitted & Partial<Annotation>): boolean {
    return this.subject.startsWith([interaction_id, unit ?? "", Object.keys(answers ?? {})[0], ""].join("\n"));
  }

  override attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (name === "candidate-id") this.look();
    else super.attributeChangedCallback(name, before, after);
  }

  protected render(): void {
    const { question } = this;
    this.offers = [];
    if (!question || !this.subject) {
      this.body.replaceChildren();
    } else if (canAsk(question)) {
      this.ask(question);
    } else {
      this.body.replaceChildren();
      this.fail({ code: "cannot_ask", message: this.word("cannotAsk"), hint: this.word("cannotAskHint") });
    }
  }

  private ask(question: LabelDefinition): void {
    const held = this.heldFocus();
    const chinese = this.locale !== "en";
    this.offers = offersOf(question, chinese, this.word("yes"), this.word("no"));
    const description = wordsIn(question.description, chinese);
    this.body.replaceChildren(
      h(
        "div",
        { class: "question", part: "question", role: "group", "aria-labelledby": "title", "aria-describedby": description ? "description" : undefined },
        h("p", { class: "title", part: "heading", id: "title" }, wordsIn(question.title, chinese) || question.path),
        description ? h("p", { class: "description", part: "description", id: "description" }, description) : null,
        question.kind === "text" ? this.textField() : null,
        h(
          "div",
          { class: "row", part: "answers" },
          ...(question.kind === "text" ? [] : this.offers.length ? this.offers.map((one, i) => this.offer(one, i)) : this.numberField(question)),
          this.sends ? button(this.say("send"), "", "primary send", () => this.send()) : null,
          this.helpButton(),
        ),
      ),
    );
    this.update();
    this.refocus(held);
  }

  private offer(offer: Offer, index: number): HTMLButtonElement {
    const key = offer.key.toUpperCase();
    // A number that is its own key is printed once.
    const node = button(offer.title, key === offer.title ? "" : key, "answer", () => this.press(offer));
    if (key) node.setAttribute("aria-keyshortcuts", key);
    node.setAttribute("data-key", `a-${index}`);
    node.toggleAttribute("data-focus", index === 0);
    return node;
  }

  private textField(): HTMLElement {
    const field = h("textarea", {
      rows: "2", part: "text-answer", dir: "auto", maxlength: "4000", "data-key": "field", "data-focus": true, "aria-labelledby": "title",
    });
    return this.written(field);
  }

  private numberField(question: LabelDefinition): HTMLElement[] {
    const { min, max } = question;
    const field = h("input", {
      type: "number", class: "number", part: "number-answer", min: `${min}`, max: `${max}`, step: `${stepOf(question) || "any"}`,
      "data-key": "field", "data-focus": true, "aria-labelledby": "title", "aria-describedby": "scale",
    });
    return [this.written(field), h("span", { class: "description", id: "scale" }, `${min} – ${max}`)];
  }

  /** A field that keeps what is written for what it is about. */
  private written<F extends HTMLInputElement | HTMLTextAreaElement>(field: F): F {
    const { stand } = this;
    field.value = stand.written;
    field.addEventListener("input", () => (stand.written = field.value));
    return field;
  }

  /** Brings the buttons in line with what is chosen. */
  private update(): void {
    const { value, chosen } = this.stand;
    this.body.querySelectorAll(".answer").forEach((node, index) => {
      const own = this.offers[index]!.value;
      node.setAttribute("aria-pressed", String(this.sends ? chosen.includes(String(own)) : value === own));
    });
  }

  /** The same answer again takes it back, also one of an earlier visit; another one replaces it. */
  private press({ value }: Offer): void {
    const { stand } = this;
    if (this.sends) {
      const key = String(value);
      stand.chosen = stand.chosen.includes(key) ? stand.chosen.filter((one) => one !== key) : [...stand.chosen, key];
      this.update();
    } else if (stand.value !== value) {
      this.give(value);
    } else if (stand.given && this.undoable === stand.given) {
      this.undo();
    } else {
      // An answer whose event is not known here is given anew and that one taken back: then none is left.
      this.takeBack(stand.given ?? this.about("annotation", this.fieldsOf(value)), this.shown!, !!stand.given);
      this.restore();
      this.report(this.say("undone"));
    }
  }

  private send(): void {
    const question = this.question!;
    const { value, chosen, written } = this.stand;
    let answer: Answer | null = written.trim();
    if (question.kind === "multi") answer = this.offers.map((one) => String(one.value)).filter((key) => chosen.includes(key));
    if (question.kind === "rating") answer = numberIn(question, written);
    if (answer === null) {
      const hint = stepOf(question) ? "offStepHint" : "offScaleHint";
      this.fail({ code: "off_scale", message: this.word("offScale"), hint: this.word(hint) });
    } else if (answer === "") {
      this.fail({ code: "nothing_written", message: this.word("nothing"), hint: this.word("nothingHint") });
    } else if (JSON.stringify(answer) !== JSON.stringify(value)) {
      this.give(answer);
    }
  }

  private give(answer: Answer): void {
    const { stand } = this;
    stand.value = answer;
    this.submit("annotation", this.fieldsOf(answer), this.question!.kind === "text" ? String(answer) : "", this.restore);
    stand.given = this.undoable;
    this.update();
  }

  private fieldsOf(answer: Answer): Omit<Annotation, "interaction_id"> {
    const { path, version } = this.question!;
    const unit = this.unitIn(this.shown!);
    return {
      answers: { [path]: answer },
      ...(version !== undefined && { label_versions: { [path]: version } }),
      ...(unit && { candidate_id: unit, unit }),
    };
  }

  /** What was chosen or written stays, to be sent again. */
  private readonly restore = (): void => {
    this.stand.value = this.stand.given = null;
    this.update();
  };

  private word(word: QuestionWord): string {
    const { min, max } = this.question!;
    const figures: Record<string, unknown> = { min, max, step: stepOf(this.question!) };
    return QUESTION_WORDS[this.locale][word].replace(/\{(\w+)\}/g, (_, name: string) => String(figures[name]));
  }

  protected override onKey(key: string, held: boolean): boolean {
    const offer = this.offers.find((one) => one.key === key);
    if (offer && !held) this.press(offer);
    return !!offer;
  }

  protected override onSubmitKey(): boolean {
    if (this.sends) this.send();
    return this.sends;
  }
}
