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

/** Calls `act` with each entry of a scope: its name, its kind, and what it is called under another scope. */
export function each(storage: Storage | null, scope: string, act: (name: string, kind: string, as: (scope: string) => string) => unknown): void {
  for (const name of Object.keys(storage ?? {})) {
    const parts = name.split(".");
    const as = (other: string): string => [parts[0], parts[1], other, ...parts.slice(3)].join(".");
    if (parts[0] === "thumbwheel" && parts[2] === scope) act(name, parts[1]!, as);
  }
}

/** Renames what the release before kept. */
export function takeOver(storage: Storage | null, byKey: string, scope: string): void {
  if (byKey !== scope) {
    each(storage, byKey, (name, _, as) => {
      if (!storage!.getItem(as(scope))) storage!.setItem(as(scope), storage!.getItem(name)!);
      storage!.removeItem(name);
    });
  }
}
