/**
 * What other tabs of the site sent, so that no customer gets two replies. In: the place of an item that was sent here, or
 * taken back. Out: whether another tab sent it, and a call when that changes. Nothing is stored.
 */
export declare class Peers {
    private readonly changed;
    private readonly sent;
    private channel;
    constructor(changed: () => void);
    /** Begins to hear. What was heard before stays. */
    open(): void;
    close(): void;
    tell(place: string, sent: boolean): void;
    haveSent(place: string): boolean;
}
