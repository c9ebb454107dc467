/** `stored` is false without consent: then the draft lives as long as the page. */
export declare function saveDraft(place: string, draft: object, stored: boolean): void;
/** `before` is the place that the release before used. */
export declare function readDraft<T extends object>(place: string, before: string): T | null;
export declare function dropDraft(...places: string[]): void;
