/**
 * Work not yet submitted, kept over a reload: one localStorage entry per item, the newest, within a cap. In: an item's place
 * and its draft. Out: the draft that was left there, in this page also where nothing may be stored.
 */
import { findStorage } from "../queue.js";

const PREFIX = "thumbwheel.draft.";
const KEPT = 20;
/** Of all drafts together; localStorage holds some five million characters for the whole site. */
const KEPT_CHARS = 250_000;

interface Kept {
  saved: number;
}

const inPage = new Map<string, object>();

/** `stored` is false without consent: then the draft lives as long as the page. */
export function saveDraft(place: string, draft: object, stored: boolean): void {
  inPage.delete(place);
  inPage.set(place, draft);
  if (inPage.size > KEPT) inPage.delete(inPage.keys().next().value!);
  if (!stored) return;
  const storage = findStorage();
  try {
    storage?.setItem(PREFIX + place, JSON.stringify({ ...draft, saved: Date.now() }));
    if (storage) forgetOldest(storage);
  } catch {
    // Storage is full or forbidden: the draft lives as long as the page.
  }
}

/** `before` is the place that the release before used. */
export function readDraft<T extends object>(place: string, before: string): T | null {
  return (inPage.get(place) as T | undefined) ?? read<T>(PREFIX + place) ?? read<T>(PREFIX + before);
}

export function dropDraft(...places: string[]): void {
  for (const place of places) {
    inPage.delete(place);
    try {
      findStorage()?.removeItem(PREFIX + place);
    } catch {
      // Nothing was stored.
    }
  }
}

function read<T>(name: string): T | null {
  try {
    return JSON.parse(findStorage()?.getItem(name) ?? "null") as T | null;
  } catch {
    return null;
  }
}

function forgetOldest(storage: Storage): void {
  const drafts = Object.keys(storage)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => ({ name, chars: storage.getItem(name)!.length, saved: read<Kept>(name)?.saved ?? 0 }))
    .sort((a, b) => b.saved - a.saved);
  let chars = 0;
  drafts.forEach((draft, i) => {
    chars += draft.chars;
    if (i >= KEPT || chars > KEPT_CHARS) storage.removeItem(draft.name);
  });
}
