import { FeedbackElement } from "./base.js";
import { type KeyList } from "./keys.js";
export declare class ThumbwheelWorkbench extends FeedbackElement {
    private draft;
    private arrived;
    private waiting;
    /** Whether `autofocus` has had its one chance. */
    private greeted;
    /** Whether it stands there that another tab has sent this item. */
    private warned;
    private readonly peers;
    private focused;
    private readonly dwell;
    private editor;
    constructor();
    protected get keyList(): KeyList;
    connectedCallback(): void;
    disconnectedCallback(): void;
    protected changed(): void;
    /** Says whether another tab has sent this item. */
    private heed;
    protected render(): void;
    /** Takes the focus with the first item where the page asks for that, and nothing else has it. */
    private greet;
    protected arrive(): void;
    private headline;
    private idle;
    private card;
    private actions;
    /** Brings what stands on the screen in line with the draft; nothing is rebuilt, so focus stays. */
    private update;
    private set;
    private keepDraft;
    /** Where the draft of what is shown is kept: other replies to the same question have another one. */
    private place;
    private original;
    /** The reply as it would be sent. */
    private text;
    private write;
    private pick;
    private tie;
    private none;
    private edit;
    private complain;
    private sendReply;
    private restore;
    /** The host owns the queue: it is told, and sets another `interaction`. */
    private move;
    protected onKey(key: string): boolean;
    protected onSubmitKey(): boolean;
    /** Leaves the edit box; what was written stays, and the box with it. */
    protected onEscape(): boolean;
}
