/**
 * <thumbwheel-label>: one question that a label asks, about an interaction or one of its replies. One press answers; several
 * choices, a text and a number on a long scale are sent. Another answer replaces the first.
 */
import { FeedbackElement, type Submitted } from "../elements.js";
import type { Annotation } from "../wire.js";
import { type Shown } from "./interaction.js";
import { type KeyList } from "./keys.js";
import { type Answer, type LabelDefinition } from "./question.js";
export declare class ThumbwheelLabel extends FeedbackElement {
    static observedAttributes: string[];
    private question;
    private offers;
    private stand;
    private readonly stands;
    constructor();
    protected get keyList(): KeyList;
    /** The label's definition, as the console's `/api/v1/labels/PATH` gives it. Null asks nothing. */
    get label(): LabelDefinition | null;
    set label(value: unknown);
    /** The answer shown as given, such as one of an earlier visit. */
    get answer(): Answer | null;
    set answer(value: Answer | null);
    /** Whether the answer goes by a button of its own, not by the press on it. */
    private get sends();
    protected subjectOf(shown: Shown): string;
    /** What of the interaction is asked about: "" is all of it. Null where the reply has no name. */
    private unitIn;
    protected changed(before: string): void;
    protected concerns({ interaction_id, unit, answers }: Submitted & Partial<Annotation>): boolean;
    attributeChangedCallback(name: string, before: string | null, after: string | null): void;
    protected render(): void;
    private ask;
    private offer;
    private textField;
    private numberField;
    /** A field that keeps what is written for what it is about. */
    private written;
    /** Brings the buttons in line with what is chosen. */
    private update;
    /** The same answer again takes it back, also one of an earlier visit; another one replaces it. */
    private press;
    private send;
    private give;
    private fieldsOf;
    /** What was chosen or written stays, to be sent again. */
    private readonly restore;
    private word;
    protected onKey(key: string, held: boolean): boolean;
    protected onSubmitKey(): boolean;
}
