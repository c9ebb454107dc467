/** What changed between two texts: per word where words have spaces, per character in Chinese and Japanese. */
export interface Change {
    kind: "same" | "del" | "ins";
    text: string;
}
export declare function tokens(text: string): string[];
/** Longest common subsequence of tokens (Wagner and Fischer 1974), after common head and tail are set aside. */
export declare function diff(before: string, after: string): Change[];
