/**
 * Which tab sends what: a claim that tabs of one queue leave for each other in localStorage. In: what a tab is about to
 * do. Out: whether it may. Web Locks keep requests apart where there are any; claims do in pages without them (plain
 * http), and where a page that goes cannot wait for a lock.
 */
import type { Slot } from "./slot.js";
export declare const CLAIM_LAG_MS = 500;
/** The tab that sends, since when, and whether it sends what others left. */
export type Claim = [tab: string, at: number, adopts?: boolean];
export declare class Claims {
    private readonly slot;
    private readonly tab;
    constructor(slot: Slot<Claim>);
    /** The claim of another tab, whatever stands in its place. Neither one of long ago nor one out of the future, made before the clock was set, holds. */
    other(): Claim | null;
    /** Says that this tab sends its own, unless another one has claimed. */
    take(): void;
    /** Whether this tab may send what others left: its claim to that has stood for a moment. */
    adopts(): boolean;
    release(): void;
}
