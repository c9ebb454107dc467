/**
 * What a label asks. In: its definition, as `GET /api/v1/labels/PATH` of the console gives it. Out: whether an element can
 * ask it, its words in a language, the answers it offers and the key that gives each.
 */
/** A text in one language or in both; where one is missing the other is shown. */
export type Words = string | {
    en?: string;
    zh?: string;
};
export interface LabelDefinition {
    path: string;
    version?: number;
    kind?: string;
    scope?: string;
    title?: Words;
    description?: Words;
    choices?: {
        key: string;
        title?: Words;
        shortcut?: string;
        archived?: boolean;
    }[];
    min?: number | null;
    max?: number | null;
    step?: number | null;
    deprecated?: boolean;
}
/** What is sent as the answer: true or false, a choice's key or several, a number, a text. */
export type Answer = boolean | string | number | string[];
/** An answer that one press gives. */
export interface Offer {
    value: boolean | string | number;
    title: string;
    /** Empty where there is no key left. */
    key: string;
}
/** A copy of what is asked; null where there is nothing, as in the JSON of an error, or where it is no longer asked. */
export declare function readLabel(value: unknown): LabelDefinition | null;
/** Whether it has a kind and a scope that can be asked here, and something to answer with. */
export declare function canAsk(label: LabelDefinition): boolean;
export declare function wordsIn(words: Words | undefined, chinese: boolean): string;
/** The step of a scale; 0 where any number between its ends will do. */
export declare function stepOf({ min, max, step }: LabelDefinition): number;
/** The answers that are offered; none where the answer is written. */
export declare function offersOf(label: LabelDefinition, chinese: boolean, yes: string, no: string): Offer[];
/** The number a person wrote, or null where it is none of the scale's. */
export declare function numberIn(label: LabelDefinition, text: string): number | null;
