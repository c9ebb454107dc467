/**
 * What had to be given up, told to the collector with the next batch: of this page, of earlier visits and of other tabs.
 *
 * A report on its way keeps its id until the collector has it, whoever sends it: told twice, it counts once.
 */
import type { Slot } from "./slot.js";
type Counts = Record<string, number>;
export interface Untold {
    open?: Counts;
    closed?: {
        event_id: string;
        counts: Counts;
    };
}
export declare class Reports {
    private readonly slot;
    private travels;
    constructor(slot: Slot<Untold>);
    /** Counts an event that will not arrive. Without consent nothing is told, not even that. */
    add(reason: string): void;
    /** The report to send, if there is one and it is not on its way; `settle` must follow. */
    take(): object | undefined;
    settle(told: boolean): void;
    private untold;
}
export {};
