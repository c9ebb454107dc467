import { FeedbackElement } from "./base.js";
import type { KeyList } from "./keys.js";
export declare class ThumbwheelChoice extends FeedbackElement {
    private decided;
    private readonly dwell;
    constructor();
    protected get keyList(): KeyList;
    connectedCallback(): void;
    disconnectedCallback(): void;
    protected changed(): void;
    protected render(): void;
    private card;
    private whole;
    /** Brings the cards and buttons in line with the decision. */
    private update;
    private press;
    private decide;
    private settle;
    protected onKey(key: string): boolean;
}
