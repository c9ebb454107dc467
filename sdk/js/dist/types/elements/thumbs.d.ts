import { FeedbackElement } from "./base.js";
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
    private value;
    private panelOpen;
    private chosen;
    private comment;
    /** The thumb that was taken back last. */
    private restored;
    private ownReasons;
    constructor();
    protected get keyList(): KeyList;
    /** Reasons offered, by thumb: `{up: [{value, label}], down: […]}`. */
    get reasons(): Record<Value, Reason[]>;
    set reasons(reasons: Partial<Record<Value, Reason[]>>);
    /** The thumb shown as given, such as one of an earlier visit. */
    get vote(): Value | null;
    set vote(value: Value | null);
    protected changed(): void;
    protected render(): void;
    private thumb;
    private panel;
    private reasonLabel;
    private candidateId;
    /** The same thumb again takes it back; the other one replaces it. */
    private give;
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
