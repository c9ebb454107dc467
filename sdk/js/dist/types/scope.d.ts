/**
 * The scope of a client; `byKey` is what the release before took, from address and key. Two projects of one collector in
 * one page that bear no names are told apart by their keys.
 */
export declare function scopeOf(host: string, key: string, project: string | undefined, byKey: string): string;
/** The key is no longer in use. */
export declare function leaveScope(scope: string): void;
/** Calls `act` with each entry of a scope: its name, its kind, and what it is called under another scope. */
export declare function each(storage: Storage | null, scope: string, act: (name: string, kind: string, as: (scope: string) => string) => unknown): void;
/** Renames what the release before kept. */
export declare function takeOver(storage: Storage | null, byKey: string, scope: string): void;
