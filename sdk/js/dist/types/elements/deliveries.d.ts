/**
 * Hands an element's feedback to its client and hears what became of it. In: feedback, and a call for the client. Out: what
 * was lost, with why.
 */
import type { Client } from "../client.js";
import type { Problem } from "../wire.js";
import type { Submitted } from "./base.js";
import type { Label } from "./labels.js";
/** The part of `Client` an element uses; a host may pass its own, whose calls may return promises. */
export type FeedbackClient = Pick<Client, "thumb" | "choice" | "pick" | "retract"> & Partial<Pick<Client, "annotate" | "subscribe" | "allowed" | "scope">>;
/** Hands feedback to the call of the client that is for it. */
export declare function give(client: FeedbackClient, event: Submitted): unknown;
export declare class Deliveries {
    private readonly say;
    private readonly lose;
    private readonly awaited;
    private unsubscribe;
    constructor(say: (label: Label) => string, lose: (problem: Problem, event: Submitted) => void);
    /** `id` is that of the event sent; `event` is the feedback it is about. */
    send(client: FeedbackClient | null, id: string, event: Submitted, call: (client: FeedbackClient) => unknown): void;
    listen(client: FeedbackClient | null): void;
    end(): void;
    private lost;
}
