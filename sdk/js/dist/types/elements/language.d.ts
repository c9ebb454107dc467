/** Which language an element speaks, and who must know when the page changes its own. In: nodes. Out: tags and calls. */
/** The `lang` in force at a node: its own or the nearest above it, also outside a shadow root; the browser's when none is set. */
export declare function langAt(node: Element): string;
/** Calls `listener` when a `lang` of the document changes; returns the function that ends it. */
export declare function onLanguage(listener: () => void): () => void;
