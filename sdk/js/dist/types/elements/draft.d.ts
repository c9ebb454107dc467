/** Where an agent stands with one item of the workbench. In: what was kept, and what is shown. Out: the draft to go on with. */
import type { Outcome } from "../wire.js";
import type { Shown } from "./interaction.js";
export interface Draft {
    outcome: Outcome | null;
    chosen: string | null;
    editing: boolean;
    /** Candidate whose text is being edited; null is a reply of one's own. */
    base: string | null;
    /** Texts written so far, by `base`. */
    texts: Record<string, string>;
    /** Milliseconds spent on it so far. */
    dwell: number;
}
export declare const FRESH: Draft;
/** The kept draft. One that picked or edits a reply that is not shown is about something else: then a fresh one. */
export declare function fitting(kept: Partial<Draft> | null, shown: Shown): Draft;
