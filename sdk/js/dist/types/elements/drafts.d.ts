export declare function saveDraft(interactionId: string, draft: object): void;
export declare function readDraft<T extends object>(interactionId: string): T | null;
export declare function dropDraft(interactionId: string): void;
