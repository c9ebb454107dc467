/** Work not yet submitted, kept over a reload: one localStorage entry per interaction, the newest, within a cap. */
import { findStorage } from "../queue.js";

const PREFIX = "thumbwheel.draft.";
const KEPT = 20;
/** Of all drafts together; localStorage holds some five million characters for the whole site. */
const KEPT_CHARS = 250_000;

interface Kept {
  saved: number;
}

export function saveDraft(interactionId: string, draft: object): void {
  const storage = findStorage();
  try {
    storage?.setItem(PREFIX + interactionId, JSON.stringify({ ...draft, saved: Date.now() }));
    if (storage) forgetOldest(storage);
  } catch {
    // Storage is full or forbidden: the draft lives as long as the page.
  }
}

export function readDraft<T extends object>(interactionId: string): T | null {
  try {
    return JSON.parse(findStorage()?.getItem(PREFIX + interactionId) ?? "null") as T | null;
  } catch {
    return null;
  }
}

export function dropDraft(interactionId: string): void {
  try {
    findStorage()?.removeItem(PREFIX + interactionId);
  } catch {
    // Nothing was stored.
  }
}

function forgetOldest(storage: Storage): void {
  const drafts = Object.keys(storage)
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => ({ key, chars: storage.getItem(key)!.length, saved: readDraft<Kept>(key.slice(PREFIX.length))?.saved ?? 0 }))
    .sort((a, b) => b.saved - a.saved);
  let chars = 0;
  drafts.forEach((draft, i) => {
    chars += draft.chars;
    if (i >= KEPT || chars > KEPT_CHARS) storage.removeItem(draft.key);
  });
}
