/** What an element shows: the JSON of `POST /v1/candidates`, or a chat completion's ids and texts. */
import type { Candidate, Content, Message } from "../wire.js";
export interface Shown {
    interaction_id: string;
    candidates: Candidate[];
    conversation_id?: string;
    /** The campaign that asks for this feedback. */
    campaign?: string;
    messages?: Message[];
}
export interface Completion {
    id: string;
    choices: {
        candidate_id?: string;
        message?: {
            content?: Content;
        };
    }[];
}
/** What an element's `interaction` takes. Thumbs need no more than the ids. */
export type Showable = Completion | (Omit<Shown, "candidates"> & {
    candidates: (Partial<Candidate> & Pick<Candidate, "candidate_id">)[];
});
/** Reads either form; null when there is nothing to show, as in the JSON of an error. */
export declare function readInteraction(value: unknown): Shown | null;
/** A copy: what stands on the screen does not change when the host changes its own object. */
export declare function copyOf(shown: Shown): Shown;
/** The reply that is `named`; the first where that is none of those shown. */
export declare function candidateOf({ candidates }: Shown, named: string | null): string;
/** The text of a content; images count for nothing. */
export declare function plainText(content: Content | undefined): string;
/** Brings a place in line with its content. A text that only grew keeps its node, and with it what a person selected. */
export declare function fill(place: Element, content: Content | undefined, alt: string, broken: string): void;
