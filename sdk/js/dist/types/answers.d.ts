/** What a collector, or a proxy in its place, answers. In: responses. Out: what is final, and when to come again. */
import type { Problem } from "./wire.js";
interface Result {
    event_id?: string;
    status: "accepted" | "rejected" | "retry";
    error?: Problem;
}
export interface Said {
    results?: Result[];
    error?: Problem;
}
/** The JSON of an answer; an empty object where a proxy answered something else. */
export declare function readAnswer(response: Response): Promise<Said>;
/** Whether an error is the collector's own, and so final: a proxy's has another shape. */
export declare function isFinal(error: Problem | undefined): error is Problem;
/** Pause in milliseconds before try number `attempt` (0 = the first retry). */
export declare function backoff(attempt: number, retryAfterMs?: number, random?: () => number): number;
/** `Retry-After` as milliseconds from now: seconds or an HTTP date; 0 when absent or unreadable. */
export declare function retryAfterMs(header: string | null, now?: number): number;
export {};
