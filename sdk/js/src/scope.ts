/**
 * Under which name the browser keeps what belongs to a collector and a project. In: address, key, project. Out: the name,
 * the same after the key was replaced. An entry is called `thumbwheel.KIND.SCOPE`, with more behind it or not.
 */
import { fnv } from "./campaigns.js";

/** The key in use here under each scope. */
const used: Record<string, string> = {};

/**
 * The scope of a client; `byKey` is what the release before took, from address and key. Two projects of one collector in
 * one page that bear no names are told apart by their keys.
 */
export function scopeOf(host: string, key: string, project: string | undefined, byKey: string): string {
  const scope = fnv(`${host}\n${project ?? ""}`).toString(36);
  if ((used[scope] ??= key) === key) return scope;
  console.warn(`Thumbwheel: two keys for ${host}; pass each init() its project`);
  return byKey;
}

/** The key is no longer in use. */
export function leaveScope(scope: string): void {
  delete used[scope];
}

/** Entries of a scope, but for the consent if there is one to stay. */
export function entries(storage: Storage | null, scope: string, butConsent = false): string[] {
  const found = new RegExp(`^thumbwheel\\.${butConsent ? "(?!consent)" : ""}\\w+\\.${scope}(\\.|$)`);
  return Object.keys(storage ?? {}).filter((name) => found.test(name));
}

/** Renames what the release before kept. */
export function takeOver(storage: Storage | null, byKey: string, scope: string): void {
  if (byKey === scope) return;
  for (const name of entries(storage, byKey)) {
    const now = name.replace(byKey, scope);
    if (!storage!.getItem(now)) storage!.setItem(now, storage!.getItem(name)!);
    storage!.removeItem(name);
  }
}
