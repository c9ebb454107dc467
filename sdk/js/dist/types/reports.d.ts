export declare class Reports {
    private open;
    private closed;
    private travels;
    /** Counts an event that will not arrive. Without consent nothing is told, not even that. */
    add(reason: string): void;
    /** The report to send, if there is one and it is not on its way; `settle` must follow. It keeps its id until told. */
    take(): object | undefined;
    settle(told: boolean): void;
}
