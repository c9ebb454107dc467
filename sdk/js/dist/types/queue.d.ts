/**
 * Events that are not known to be stored yet.
 *
 * Each event is one entry of localStorage under its own key, so that tabs never rewrite each other's events and a reload
 * loses none. Where storage is absent, full or forbidden, the event stays in memory: the host page notices nothing.
 */
/** UTF-8 length in bytes. */
export declare function byteLength(text: string): number;
export interface Waiting {
    id: string;
    text: string;
}
export declare class Queue {
    private readonly prefix;
    private readonly storage;
    /** Most events kept; beyond it the oldest goes. */
    private readonly maxEvents;
    /** Most bytes of event text kept. */
    private readonly maxBytes;
    private readonly memory;
    constructor(prefix: string, storage: Storage | null, 
    /** Most events kept; beyond it the oldest goes. */
    maxEvents: number, 
    /** Most bytes of event text kept. */
    maxBytes: number);
    /**
     * Keeps an event. Returns the ids that had to go to make room, oldest first; those on their way stay, since they may
     * have arrived.
     */
    add(id: string, text: string, onTheirWay: Set<string>): string[];
    private put;
    /** Everything waiting, oldest first: of this tab, of earlier visits and of other tabs. */
    all(): Waiting[];
    remove(id: string): void;
    clear(): void;
}
/** localStorage, or null in workers, on servers and where the browser forbids it. */
export declare function findStorage(): Storage | null;
