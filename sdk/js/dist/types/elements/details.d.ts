/** What the elements tell the page, as typed events. */
import type { Problem, Retract } from "../wire.js";
import type { Submitted } from "./base.js";
import type { Shown } from "./interaction.js";
/** Feedback is about to go; `preventDefault()` keeps it. `text` is the final text of a pick or choice. */
export type FeedbackSubmit = CustomEvent<{
    event: Submitted;
    text: string;
}>;
/** Feedback is about to be taken back by `retract`; `preventDefault()` keeps that from going. */
export type FeedbackUndo = CustomEvent<{
    event: Submitted;
    retract: Retract;
    interaction: Shown;
}>;
/** Feedback was not saved, and why. */
export type FeedbackError = CustomEvent<{
    error: Problem;
    event: Submitted;
}>;
/** The agent asks for another item; `interaction` is the one on the screen. */
export type FeedbackMove = CustomEvent<{
    interaction: Shown | null;
}>;
declare global {
    interface HTMLElementEventMap {
        "thumbwheel-submit": FeedbackSubmit;
        "thumbwheel-undo": FeedbackUndo;
        "thumbwheel-error": FeedbackError;
        "thumbwheel-back": FeedbackMove;
        "thumbwheel-skip": FeedbackMove;
    }
}
