/**
 * The scope of a client; `byKey` is what the release before took, from address and key. Two projects of one collector in
 * one page that bear no names are told apart by their keys.
 */
export declare function scopeOf(host: string, key: string, project: string | undefined, byKey: string): string;
/** The key is no longer in use. */
export declare function leaveScope(scope: string): void;
/** Entries of a scope, but for the consent if there is one to stay. */
export declare function entries(storage: Storage | null, scope: string, butConsent?: boolean): string[];
/** Renames what the release before kept. */
export declare function takeOver(storage: Storage | null, byKey: string, scope: string): void;
