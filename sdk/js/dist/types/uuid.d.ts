/** UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then a 12-bit counter, then 62 random bits. */
/** Ids made by one page sort in the order they were made, also within a millisecond and when the clock steps back. */
export declare function uuid7(now?: number): string;
