/**
 * The three elements as React components: typed properties, events as handlers, `ref` is the element. React 18 and later.
 *
 *     import { ThumbwheelThumbs } from "@thumbwheel/sdk/react";
 *     <ThumbwheelThumbs client={client} interaction={interaction} onSubmit={({ detail }) => note(detail.event)} />
 *
 * Importing defines nothing; the first render in a browser does. On a server a component is its empty tag.
 */
import { type ForwardRefExoticComponent, type HTMLAttributes, type RefAttributes } from "react";
import type { FeedbackError, FeedbackClient, FeedbackMove, Reason, Showable, FeedbackSubmit, ThumbwheelChoice as ChoiceElement, ThumbwheelThumbs as ThumbsElement, ThumbwheelWorkbench as WorkbenchElement, FeedbackUndo } from "./elements.js";
interface Common extends Omit<HTMLAttributes<HTMLElement>, "onSubmit" | "onError"> {
    /** The client of the latest `init()` when absent. */
    client?: FeedbackClient | null;
    /** What is shown; null shows the element's empty state. */
    interaction: Showable | null;
    onSubmit?: (event: FeedbackSubmit) => void;
    onUndo?: (event: FeedbackUndo) => void;
    onError?: (event: FeedbackError) => void;
    /** Seconds after which an undo is no longer offered; for ever when absent. */
    undoSeconds?: number;
    /** `off`: single keys do nothing. */
    keys?: "off";
    theme?: "light" | "dark" | "system";
}
export interface ThumbsProps extends Common {
    /** Which candidate the thumb is for; the first when absent. */
    candidateId?: string;
    reasons?: Partial<Record<"up" | "down", Reason[]>>;
    /** A thumb given earlier. */
    vote?: "up" | "down" | null;
}
export interface ChoiceProps extends Common {
    heading?: string;
}
export interface WorkbenchProps extends Common {
    heading?: string;
    /** The next item is on its way. */
    loading?: boolean;
    /** The first item takes the focus, where nothing else has it: for a page that is the workbench. */
    autoFocus?: boolean;
    onSkip?: (event: FeedbackMove) => void;
    onBack?: (event: FeedbackMove) => void;
}
type Component<E, P> = ForwardRefExoticComponent<P & RefAttributes<E>>;
export declare const ThumbwheelThumbs: Component<ThumbsElement, ThumbsProps>;
export declare const ThumbwheelChoice: Component<ChoiceElement, ChoiceProps>;
export declare const ThumbwheelWorkbench: Component<WorkbenchElement, WorkbenchProps>;
export {};
