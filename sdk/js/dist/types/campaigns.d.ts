/**
 * Which campaign asks about an interaction: the open ones, fetched now and then, and the rule both SDKs share.
 *
 * The rule is the same for an actor and an interaction wherever and whenever it is evaluated, so that a backend that
 * prepares two replies and the page that shows them agree, and a reload changes nothing.
 */
import type { Slot } from "./slot.js";
import type { Campaign, Question } from "./wire.js";
/** FNV-1a, 32 bits. */
export declare function fnv(text: string): number;
/** Whom a campaign asked last, and about what: campaign and actor, interaction, time in ms. */
export type Asked = [key: string, interaction: string, at: number];
export declare class Campaigns {
    private readonly url;
    private readonly key;
    private readonly asked;
    private list;
    /** By performance.now(): a clock that is set anew changes nothing. */
    private freshUntil;
    private fetching;
    constructor(url: string, key: string, asked: Slot<Asked[]>);
    /** The first campaign, in the collector's order, that asks this actor about this interaction. */
    decide(question: Question, actor: string): Promise<Campaign | null>;
    private fetch;
    /** Whether the actor may be asked, remembered. What was asked once may be asked again. */
    private may;
}
