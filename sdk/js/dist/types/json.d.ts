/**
 * JSON as it travels and is kept. In: any value. Out: JSON that a collector can store, whatever the page did to built-in
 * prototypes: Prototype.js gives arrays and dates a `toJSON` that answers with text.
 */
export declare function json(value: unknown): string;
