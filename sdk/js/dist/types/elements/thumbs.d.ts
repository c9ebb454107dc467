import { FeedbackElement, type Submitted } from "./base.js";
import { type Shown } from "./interaction.js";
import type { KeyList } from "./keys.js";
export interface Reason {
    /** What is stored. */
    value: string;
    /** What is shown; a built-in reason has its own label. */
    label?: string;
}
type Value = "up" | "down";
export declare class ThumbwheelThumbs extends FeedbackElement {
    static observedAttributes: string[];
    private stand;
    private readonly stands;
    private ownReasons;
    constructor();
    protected get keyList(): KeyList;
    /** Reasons offered, by thumb: `{up: [{value, label}], down: […]}`. */
    get reasons(): Record<Value, Reason[]>;
    set reasons(reasons: Partial<Record<Value, Reason[]>>);
    /** The thumb shown as given, such as one of an earlier visit. */
    get vote(): Value | null;
    set vote(value: Value | null);
    /** One reply; which others there are changes nothing. */
    protected subjectOf(shown: Shown): string;
    /** The page shows the reply, not the element: what was said of another one, an undo too, has no place here any more. */
    protected changed(before: string): void;
    protected concerns(event: Submitted): boolean;
    attributeChangedCallback(name: string, before: string | null, after: string | null): void;
    protected render(): void;
    private thumb;
    private panel;
    private reasonLabel;
    private candidateIn;
    /** The same thumb again takes it back, also one of an earlier visit; the other one replaces it. */
    private give;
    private vouch;
    /** A thumb whose event is not known here is given anew and that one taken back: then none is left, nor an earlier one. */
    private clearThumb;
    private sendReasons;
    private toggle;
    /** What was said with the thumb stays: the next thumb brings it back. */
    private readonly restore;
    private close;
    private clear;
    protected onSubmitKey(): boolean;
    protected onEscape(): boolean;
}
export {};
