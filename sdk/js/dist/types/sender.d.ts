import { type Claims } from "./claims.js";
import { type Queue } from "./queue.js";
import type { Reports } from "./reports.js";
import type { Delivery } from "./wire.js";
export declare class Sender {
    private readonly url;
    private readonly key;
    private readonly queue;
    private readonly lock;
    private readonly reports;
    private readonly claims;
    private readonly settle;
    private timer;
    private adoption;
    private running;
    private again;
    private attempt;
    private told;
    private limit;
    private silent;
    /** Ids of events that something other than the collector refused: the rest goes first. */
    private readonly odd;
    /** Ids of events in requests that are not answered yet. */
    readonly inFlight: Set<string>;
    /** Ids of events this client made and does not know to be settled; others in the queue are of other tabs or visits. */
    readonly mine: Set<string>;
    /** When others' events were first seen here, by performance.now(). */
    private seen;
    constructor(url: string, key: string, queue: Queue, lock: string, reports: Reports, claims: Claims, settle: (delivery: Delivery) => void);
    /** Sends what waits, unless a pause is running. */
    wake(): void;
    /** Cuts a backoff short, as when the network is back; a pause the server asked for stays. */
    hurry(): Promise<void>;
    stop(): void;
    /**
     * The page is hidden or, when `going`, at its end: sends its own events in requests that outlive it, without waiting for
     * the lock. While it lives, its claim keeps other tabs from sending them too.
     */
    leave(going: boolean): void;
    private drain;
    private locked;
    private sendAll;
    private pending;
    /**
     * Own events, at once unless another tab is adopting; when there are none, those that others have left for long enough,
     * once a claim to them stands.
     */
    private next;
    private release;
    private wakeIn;
    private cut;
    private body;
    /** One request. True when the next may follow at once. */
    private exchange;
    /** Browsers hide a refusal of the page's origin: it looks like a network that is down. */
    private unheard;
    private read;
    private done;
    private later;
}
