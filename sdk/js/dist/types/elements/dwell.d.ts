/** Milliseconds an item was in front of a person: time with the page hidden does not count. */
export declare class Dwell {
    private total;
    private since;
    start(): void;
    /** Continues from `ms`, as when an undo brings an item back. */
    resume(ms: number): void;
    readonly onVisibility: () => void;
    read(): number;
}
