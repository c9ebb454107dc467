/**
 * Which campaign asks about an interaction: the open ones, fetched now and then, and the rule both SDKs share.
 *
 * The rule is the same for an actor and an interaction wherever and whenever it is evaluated, so that a backend that
 * prepares two replies and the page that shows them agree, and a reload changes nothing.
 */
import type { Slot } from "./slot.js";
import type { Campaign, Question } from "./wire.js";

/** Used where the collector does not say how long its answer holds, and after an attempt that failed. */
const FRESH_S = 60;
const FAILED_S = 10;
const TIMEOUT_MS = 3000;
const MAX_REMEMBERED = 100;

/** FNV-1a, 32 bits. */
export function fnv(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** Where this interaction lies in [0, 1): FNV-1a mixed by MurmurHash3's finaliser. Ids are ASCII. */
function share(...ids: string[]): number {
  let value = fnv(ids.join("\n"));
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return ((value ^ (value >>> 16)) >>> 0) / 2 ** 32;
}

function matches(campaign: Campaign, asked: Question): boolean {
  const { surface, label, scenario } = campaign;
  return (
    surface === (asked.surface ?? "chat") &&
    (!label || !!asked.labels?.some((one) => one === label || one.startsWith(label + "/"))) &&
    (!scenario || scenario === asked.scenario)
  );
}

/** Whom a campaign asked last, and about what: campaign and actor, interaction, time in ms. */
export type Asked = [key: string, interaction: string, at: number];

export class Campaigns {
  private list: Campaign[] = [];
  /** By performance.now(): a clock that is set anew changes nothing. */
  private freshUntil = 0;
  private fetching: Promise<void> | null = null;

  constructor(
    private readonly url: string,
    private readonly key: string,
    private readonly asked: Slot<Asked[]>,
  ) {}

  /** The first campaign, in the collector's order, that asks this actor about this interaction. */
  async decide(question: Question, actor: string): Promise<Campaign | null> {
    if (performance.now() >= this.freshUntil) await (this.fetching ??= this.fetch());
    const id = question.interaction_id;
    for (const one of this.list) {
      if (matches(one, question) && share(one.campaign_id, actor, id) < one.rate && this.may(one, actor, id)) return one;
    }
    return null;
  }

  private async fetch(): Promise<void> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
    let fresh = FAILED_S;
    try {
      const headers = { Authorization: `Bearer ${this.key}` };
      const answer = await fetch(this.url, { headers, credentials: "omit", signal: abort.signal });
      if (answer.ok) {
        const told = await answer.json();
        this.list = told.campaigns;
        fresh = told.fresh_for_s ?? FRESH_S;
      }
    } catch {
      // Without an answer nobody is asked for more than was known.
    }
    clearTimeout(timer);
    this.freshUntil = performance.now() + fresh * 1000;
    this.fetching = null;
  }

  /** Whether the actor may be asked, remembered. What was asked once may be asked again. */
  private may(campaign: Campaign, actor: string, interaction: string): boolean {
    const key = campaign.campaign_id + "\n" + actor;
    const found = this.asked.read();
    const known = Array.isArray(found) ? found.filter(Array.isArray) : [];
    const last = known.find((one) => one[0] === key);
    if (last?.[1] === interaction) return true;
    if (last && Date.now() - last[2] < (campaign.cooldown_s ?? 0) * 1000) return false;
    this.asked.write([...known.filter((one) => one !== last), [key, interaction, Date.now()] as Asked].slice(-MAX_REMEMBERED));
    return true;
  }
}
