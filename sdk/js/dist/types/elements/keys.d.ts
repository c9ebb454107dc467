import type { Label } from "./labels.js";
/** True while an input method composes: such a key belongs to it, Enter and Escape too. */
export declare function composing(event: KeyboardEvent): boolean;
/** True where a key writes text. */
export declare function typing(event: Event): boolean;
/** WCAG 2.1.4: single-character keys can be switched off, by the person and for all elements of the site. */
export declare function keysOn(): boolean;
/** What the keys do; each says whether the key meant something. */
export interface KeyActions {
    /** Whether single keys act. */
    active(): boolean;
    key(key: string, held: boolean): boolean;
    submit(): boolean;
    undo(): boolean;
    escape(): boolean;
}
/** Acts on keys inside `root`. A key that means something here, or writes text here, does not reach the host page. */
export declare function listenToKeys(root: ShadowRoot, act: KeyActions): void;
export type KeyList = [keys: string[], meaning: Label][];
export declare const modifier: () => string;
/** The panel behind `?`: every key, and the switch. */
export declare function keysPanel(list: KeyList, say: (label: Label) => string): HTMLElement;
