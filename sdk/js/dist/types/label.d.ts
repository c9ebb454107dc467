/**
 * One more element, in a bundle of its own: it asks one label. Importing defines nothing; `defineLabel()` does.
 *
 *     import { init } from "@thumbwheel/sdk/elements";
 *     import { defineLabel } from "@thumbwheel/sdk/label";
 *     init({ url, key, actor });
 *     defineLabel();
 */
import { ThumbwheelLabel } from "./elements/label.js";
export type { Answer, LabelDefinition, Words } from "./elements/question.js";
export { ThumbwheelLabel };
/** Registers `<thumbwheel-label>` once; a second call changes nothing, and neither does one on a server. */
export declare function defineLabel(): void;
declare global {
    interface HTMLElementTagNameMap {
        "thumbwheel-label": ThumbwheelLabel;
    }
}
