import type { Actor, Annotation, Campaign, Choice, Delivery, Edit, FeedbackEvent, Interaction, Pick, Problem, Question, Retract, Thumb } from "./wire.js";
export interface Options {
    /** Address of the collector, such as `https://feedback.example.com`. */
    url: string;
    /** Public key in pages, secret key on servers. */
    key: string;
    /**
     * Any name; needed where one site sends to several projects of one collector. What waits, an opt-out and drafts belong to
     * collector and project: another key finds them again, another project does not.
     */
    project?: string;
    /** Who gives the feedback; a pseudonymous id. Each call may name another. */
    actor?: string | Actor;
    /** `required` stores and sends nothing before `optIn()`. */
    consent?: "granted" | "required";
    /** Path of the events route; ad blockers match paths. */
    path?: string;
    /** Added to every event that does not name its own. */
    source?: string;
    labels?: string[];
    context?: Record<string, unknown>;
    conversation_id?: string;
    /** Sees every event before it is kept; returns it, changed or not, or null to drop it. */
    beforeSend?: (event: FeedbackEvent) => FeedbackEvent | null;
    /** Hears of every event that will not arrive, and why. */
    onError?: (problem: Problem, event_id?: string) => void;
    /** Most events kept while they cannot be sent. */
    maxEvents?: number;
    /** Most bytes of them; localStorage holds about 5 MB for the whole site. */
    maxBytes?: number;
}
export declare class Client {
    private readonly options;
    /** Events that will not arrive, by reason. */
    readonly dropped: Record<string, number>;
    /** Of this collector and project, in the names of what the browser keeps. */
    readonly scope: string;
    private readonly storage;
    private readonly queue;
    private readonly sender;
    private readonly campaigns;
    private readonly consent;
    private readonly untold;
    private readonly asked;
    private readonly reports;
    private readonly listeners;
    private closed;
    constructor(options: Options);
    /** Whether feedback may be kept and sent: the consent in force, also where another tab gave or took it. */
    get allowed(): boolean;
    /** Each call returns the event's id, or null when it was not kept; `dropped` and `onError` say why. */
    thumb(fields: Thumb): string | null;
    choice(fields: Choice): string | null;
    pick(fields: Pick): string | null;
    edit(fields: Edit): string | null;
    /** Answers to labels, by label path; each replaces the actor's earlier answer to that label alone. */
    annotate(fields: Annotation): string | null;
    /** Takes a vote back. The history stays, the vote no longer counts. */
    retract(fields: Retract): string | null;
    /** What was asked and shown. Needs a secret key: servers only. */
    interaction(fields: Interaction): string | null;
    /**
     * The open campaign that asks the actor about this interaction, or null. The answer is the same however often it is
     * asked, here and in a backend.
     */
    campaign(question: Question): Promise<Campaign | null>;
    /** Calls `listener` with what became of each event; returns the function that ends it. */
    subscribe(listener: (delivery: Delivery) => void): () => void;
    /** Sends what waits now. True when nothing waits any more; false after `timeoutMs`. */
    flush(timeoutMs?: number): Promise<boolean>;
    /** Flushes, then takes nothing more. What could not be sent goes at the next visit. */
    shutdown(timeoutMs?: number): Promise<boolean>;
    optIn(): void;
    /** Forgets what waits and keeps nothing from now on, in all tabs. */
    optOut(): void;
    private forget;
    private keep;
    private envelope;
    private settle;
    private drop;
    private lose;
    private tell;
    /** A secret key in a page or its workers would be readable by everyone: such a client does nothing. */
    private usable;
    private readonly onHide;
    private readonly onOnline;
    /** Another tab changed the consent. */
    private readonly onStorage;
    private listen;
    private setConsent;
}
