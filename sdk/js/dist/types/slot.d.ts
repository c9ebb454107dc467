/** One value under one key of localStorage; kept in memory where storage is absent, full or forbidden. */
export declare class Slot<T> {
    private readonly storage;
    readonly place: string;
    private memory;
    constructor(storage: Storage | null, place: string);
    /** The value, or null. Whoever shares the site may have written something else there: check what it is made of. */
    read(): T | null;
    write(value: T | null): void;
}
