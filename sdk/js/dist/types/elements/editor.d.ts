import type { Label } from "./labels.js";
export declare class Editor {
    private readonly say;
    readonly field: HTMLTextAreaElement;
    readonly node: HTMLElement;
    private readonly changes;
    private readonly legend;
    private original;
    private frame;
    constructor(say: (label: Label) => string, input: (text: string) => void);
    /** Shows `text` as an edit of `original`; an empty original is a reply of one's own, which has no changes to show. */
    open(original: string, text: string): void;
    private compare;
}
