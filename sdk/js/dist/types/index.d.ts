/**
 * Feedback from a page or a server to a Thumbwheel collector.
 *
 *     import { init } from "@thumbwheel/sdk";
 *     const feedback = init({ url: "https://feedback.example.com", key: "tw_pub_…", actor: "u-81f3" });
 *     feedback.thumb({ interaction_id, candidate_id, value: "up" });
 */
import { Client, type Options } from "./client.js";
import type { Annotation, Campaign, Choice, Edit, Interaction, Pick, Question, Retract, Thumb } from "./wire.js";
export { Client, type Options } from "./client.js";
export { uuid7 } from "./uuid.js";
export type * from "./wire.js";
/** Makes a client. The module's own calls (`thumb`, `pick`, …) and elements without a `client` use the latest one. */
export declare function init(options: Options): Client;
/** The client of the latest `init`, or null. */
export declare function getClient(): Client | null;
/**
 * What a backend's response says of the reply it carries (the Python SDK's `attach`), as the elements take it; null when
 * it says nothing.
 */
export declare function interactionOf(response: Response): {
    interaction_id: string;
    candidates: {
        candidate_id: string;
    }[];
} | null;
export declare const thumb: (fields: Thumb) => string | null;
export declare const choice: (fields: Choice) => string | null;
export declare const pick: (fields: Pick) => string | null;
export declare const edit: (fields: Edit) => string | null;
export declare const annotate: (fields: Annotation) => string | null;
export declare const retract: (fields: Retract) => string | null;
export declare const interaction: (fields: Interaction) => string | null;
export declare const campaign: (question: Question) => Promise<Campaign | null>;
export declare const flush: (timeoutMs?: number) => Promise<boolean>;
export declare const shutdown: (timeoutMs?: number) => Promise<boolean>;
export declare const optIn: () => void;
export declare const optOut: () => void;
