/** Work not yet submitted, kept over a reload: one localStorage entry per interaction, the newest twenty. */
import { findStorage } from "../queue.js";

const PREFIX = "thumbwheel.draft.";
const KEPT = 20;

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
  const keys = Object.keys(storage).filter((key) => key.startsWith(PREFIX));
  if (keys.length <= KEPT) return;
  const age = (key: string): number => readDraft<{ saved: number }>(key.slice(PREFIX.length))?.saved ?? 0;
  keys.sort((a, b) => age(a) - age(b));
  for (const key of keys.slice(0, keys.length - KEPT)) storage.removeItem(key);
}
