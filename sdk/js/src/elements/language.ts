/** Which language an element speaks, and who must know when the page changes its own. In: nodes. Out: tags and calls. */

/** The `lang` in force at a node: its own or the nearest above it, also outside a shadow root; the browser's when none is set. */
export function langAt(node: Element): string {
  for (let at: Element | null = node; at; ) {
    const found: HTMLElement | null = at.closest<HTMLElement>("[lang]");
    if (found?.lang) return found.lang;
    const root = at.getRootNode();
    at = root instanceof ShadowRoot ? root.host : null;
  }
  return navigator.language;
}

const listeners = new Set<() => void>();
let observer: MutationObserver | null = null;

/** Calls `listener` when a `lang` of the document changes; returns the function that ends it. */
export function onLanguage(listener: () => void): () => void {
  listeners.add(listener);
  if (!observer) {
    observer = new MutationObserver(() => listeners.forEach((one) => one()));
    observer.observe(document, { attributes: true, attributeFilter: ["lang"], subtree: true });
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size) return;
    observer?.disconnect();
    observer = null;
  };
}
