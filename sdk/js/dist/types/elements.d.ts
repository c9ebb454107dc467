/**
 * The client and the three elements. Importing defines nothing; `defineElements()` does, and does nothing on a server.
 *
 *     import { defineElements, init } from "@thumbwheel/sdk/elements";
 *     init({ url, key, actor });
 *     defineElements();
 */
import { ThumbwheelChoice } from "./elements/choice.js";
import { ThumbwheelThumbs } from "./elements/thumbs.js";
import { ThumbwheelWorkbench } from "./elements/workbench.js";
export * from "./index.js";
export { diff, type Change } from "./elements/diff.js";
/** What the element of the bundle `label` extends. */
export { FeedbackElement } from "./elements/base.js";
export type { FeedbackClient, Submitted } from "./elements/base.js";
export type { FeedbackError, FeedbackMove, FeedbackSubmit, FeedbackUndo } from "./elements/details.js";
export type { Completion, Showable, Shown } from "./elements/interaction.js";
export type { Reason } from "./elements/thumbs.js";
export { ThumbwheelChoice, ThumbwheelThumbs, ThumbwheelWorkbench };
/** Registers the elements once; a second call changes nothing. */
export declare function defineElements(): void;
declare global {
    interface HTMLElementTagNameMap {
        "thumbwheel-thumbs": ThumbwheelThumbs;
        "thumbwheel-choice": ThumbwheelChoice;
        "thumbwheel-workbench": ThumbwheelWorkbench;
    }
}
