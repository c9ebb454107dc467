/**
 * Sends what waits in the queue: one request at a time, in one tab at a time.
 *
 * Retried are 408, 429, 5xx, network errors and the events answered `retry`; nothing else is. The pause before a retry is
 * drawn from 0 .. 1 s x 2^n (exponential backoff, full jitter), at most 5 min, and never shorter than `Retry-After`.
 */
import { type Queue } from "./queue.js";
import type { Reports } from "./reports.js";
import type { Slot } from "./slot.js";
import type { Delivery } from "./wire.js";
/** The tab that made it, and when. */
export type Claim = [tab: string, at: number];
/** Pause in milliseconds before try number `attempt` (0 = the first retry). */
export declare function backoff(attempt: number, retryAfterMs?: number, random?: () => number): number;
/** `Retry-After` as milliseconds from now: seconds or an HTTP date; 0 when absent or unreadable. */
export declare function retryAfterMs(header: string | null, now?: number): number;
export declare class Sender {
    private readonly url;
    private readonly key;
    private readonly queue;
    private readonly lock;
    private readonly reports;
    private readonly claim;
    private readonly settle;
    private timer;
    private adoption;
    private running;
    private again;
    private attempt;
    private told;
    private limit;
    private readonly tab;
    /** Ids of events in requests that are not answered yet. */
    readonly inFlight: Set<string>;
    /** Ids of events this client made and does not know to be settled; others in the queue are of other tabs or visits. */
    readonly mine: Set<string>;
    /** When others' events were first seen here, by performance.now(). */
    private seen;
    constructor(url: string, key: string, queue: Queue, lock: string, reports: Reports, claim: Slot<Claim>, settle: (delivery: Delivery) => void);
    /** Sends what waits, unless a pause is running. */
    wake(): void;
    /** Cuts a backoff short, as when the network is back; a pause the server asked for stays. */
    hurry(): Promise<void>;
    stop(): void;
    /** The page may be going: sends its own events in requests that outlive it, without waiting for the lock. */
    leave(): void;
    private drain;
    private locked;
    private sendAll;
    private pending;
    /** Own events, at once; when there are none, those that others have left for long enough. */
    private next;
    /** Whether this tab is the one that adopts: the one whose claim stands a moment after it was made. */
    private claimed;
    private cut;
    private body;
    /** One request. True when the next may follow at once. */
    private exchange;
    private read;
    private done;
    private later;
}
