/**
 * Sends what waits in the queue: one request at a time, in one tab at a time.
 *
 * Retried are 408, 429, 5xx, network errors and the events answered `retry`; nothing else is. The pause before a retry is
 * drawn from 0 .. 1 s x 2^n (exponential backoff, full jitter), at most 5 min, and never shorter than `Retry-After`.
 */
import { byteLength, type Queue, type Waiting } from "./queue.js";
import type { Reports } from "./reports.js";
import type { Slot } from "./slot.js";
import { uuid7 } from "./uuid.js";
import type { Delivery, Problem } from "./wire.js";

/** Browsers allow 64 KiB of keepalive bodies in flight per page; what is over that waits for the next visit. */
const CHUNK_BYTES = 48_000;
const CHUNK_EVENTS = 100;
const TIMEOUT_MS = 15_000;
/** Browsers tell a tab of another tab's writes to localStorage a moment later. */
const STORAGE_LAG_MS = 150;
/** Events of other tabs and visits are left to their owner for so long; then the tab that holds the claim sends them. */
const ADOPT_MS = 3_000;
/** How long a claim holds, longer than a request; and how long it must have stood, so that every tab has seen it. */
const CLAIM_MS = 20_000;
const CLAIM_LAG_MS = 500;
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 300_000;
const RETRY_AFTER_MAX_MS = 600_000;

/** The tab that made it, and when. */
export type Claim = [tab: string, at: number];

interface Result {
  event_id?: string;
  status: "accepted" | "rejected" | "retry";
  error?: Problem;
}

/** Pause in milliseconds before try number `attempt` (0 = the first retry). */
export function backoff(attempt: number, retryAfterMs = 0, random: () => number = Math.random): number {
  const jittered = random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** Math.min(attempt, 20));
  return Math.max(jittered, Math.min(retryAfterMs, RETRY_AFTER_MAX_MS));
}

/** `Retry-After` as milliseconds from now: seconds or an HTTP date; 0 when absent or unreadable. */
export function retryAfterMs(header: string | null, now: number = Date.now()): number {
  if (!header) return 0;
  const wait = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return wait > 0 ? wait : 0;
}

export class Sender {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private adoption: ReturnType<typeof setTimeout> | undefined;
  private running: Promise<void> | null = null;
  private again = false;
  private attempt = 0;
  private told = false;
  private limit = CHUNK_EVENTS;
  private readonly tab = uuid7();
  /** Ids of events in requests that are not answered yet. */
  readonly inFlight = new Set<string>();
  /** Ids of events this client made and does not know to be settled; others in the queue are of other tabs or visits. */
  readonly mine = new Set<string>();
  /** When others' events were first seen here, by performance.now(). */
  private seen = new Map<string, number>();

  constructor(
    private readonly url: string,
    private readonly key: string,
    private readonly queue: Queue,
    private readonly lock: string,
    private readonly reports: Reports,
    private readonly claim: Slot<Claim>,
    private readonly settle: (delivery: Delivery) => void,
  ) {}

  /** Sends what waits, unless a pause is running. */
  wake(): void {
    if (this.timer === undefined) void this.drain();
  }

  /** Cuts a backoff short, as when the network is back; a pause the server asked for stays. */
  async hurry(): Promise<void> {
    if (this.told) return;
    this.stop();
    await this.drain();
  }

  stop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.adoption);
    this.timer = undefined;
    this.told = false;
  }

  /** The page may be going: sends its own events in requests that outlive it, without waiting for the lock. */
  leave(): void {
    if (this.claim.read()?.[0] === this.tab) this.claim.write(null);
    if (this.told) return;
    let rest = this.pending().filter((item) => this.mine.has(item.id));
    while (rest.length) {
      const chunk = this.cut(rest);
      rest = rest.slice(chunk.length);
      if (typeof Request === "function" && "keepalive" in Request.prototype) {
        void this.exchange(chunk);
      } else {
        // Stays queued, since a beacon has no answer: the next visit sends it again and it counts once.
        navigator.sendBeacon?.(this.url, this.body(chunk));
      }
    }
  }

  private drain(): Promise<void> {
    this.again = true;
    this.running ??= this.locked().finally(() => {
      this.running = null;
      if (this.again) this.wake();
    });
    return this.running;
  }

  private async locked(): Promise<void> {
    let entered = false;
    const work = async (): Promise<void> => {
      entered = true;
      await this.sendAll();
    };
    try {
      const locks = typeof navigator === "undefined" ? undefined : navigator.locks;
      if (!locks) return await work();
      await locks.request(this.lock, { ifAvailable: true }, (lock) => (lock ? work() : undefined));
      // Another tab was sending: what it removed from the queue must be seen first.
      if (!entered) await locks.request(this.lock, () => pause(STORAGE_LAG_MS).then(work));
    } catch {
      // A sandboxed frame has no locks: ids make a double harmless, so the events go all the same.
      if (!entered) await work();
    }
  }

  private async sendAll(): Promise<void> {
    do {
      this.again = false;
      const chunk = this.cut(this.next());
      if (!chunk.length) return;
      if (!(await this.exchange(chunk))) {
        this.again = false;
        return;
      }
      this.again = true;
    } while (this.again);
  }

  private pending(): Waiting[] {
    return this.queue.all().filter((item) => !this.inFlight.has(item.id));
  }

  /** Own events, at once; when there are none, those that others have left for long enough. */
  private next(): Waiting[] {
    const pending = this.pending();
    const own = pending.filter((item) => this.mine.has(item.id));
    if (own.length || !pending.length) return own;
    const now = performance.now();
    this.seen = new Map(pending.map(({ id }) => [id, this.seen.get(id) ?? now]));
    const left = pending.filter(({ id }) => now - this.seen.get(id)! >= ADOPT_MS);
    if (left.length && this.claimed()) return left;
    clearTimeout(this.adoption);
    this.adoption = idle(setTimeout(() => this.wake(), left.length ? CLAIM_LAG_MS : ADOPT_MS + 20));
    return [];
  }

  /** Whether this tab is the one that adopts: the one whose claim stands a moment after it was made. */
  private claimed(): boolean {
    const now = Date.now();
    const [tab, at] = [this.claim.read()].flat() as Partial<Claim>;
    // Neither one of long ago nor one out of the future, made before the clock was set, holds.
    const holds = Math.abs(now - at!) < CLAIM_MS;
    if (!holds) this.claim.write([this.tab, now]);
    return holds && tab === this.tab;
  }

  private cut(waiting: Waiting[]): Waiting[] {
    let bytes = 200;
    const chunk: Waiting[] = [];
    for (const item of waiting) {
      bytes += byteLength(item.text) + 1;
      if (chunk.length && (bytes > CHUNK_BYTES || chunk.length >= this.limit)) break;
      chunk.push(item);
    }
    return chunk;
  }

  private body(chunk: Waiting[], dropped?: object): string {
    const head = JSON.stringify({ sent_at: new Date().toISOString(), key: this.key, dropped });
    return `${head.slice(0, -1)},"events":[${chunk.map((item) => item.text).join(",")}]}`;
  }

  /** One request. True when the next may follow at once. */
  private async exchange(chunk: Waiting[]): Promise<boolean> {
    const report = this.reports.take();
    const body = this.body(chunk, report);
    let told = false;
    const abort = new AbortController();
    const timeout = setTimeout(() => abort.abort(), TIMEOUT_MS);
    for (const item of chunk) this.inFlight.add(item.id);
    try {
      const response = await fetch(this.url, {
        method: "POST",
        body,
        headers: { "Content-Type": "text/plain;charset=UTF-8" },
        credentials: "omit",
        keepalive: byteLength(body) < CHUNK_BYTES,
        signal: abort.signal,
      });
      const json = await answer(response);
      told = response.ok && !json.results?.some((result) => result.status === "retry");
      return this.read(chunk, response.status, retryAfterMs(response.headers.get("Retry-After")), json);
    } catch {
      return this.later(0);
    } finally {
      if (report) this.reports.settle(told);
      clearTimeout(timeout);
      for (const item of chunk) this.inFlight.delete(item.id);
    }
  }

  private read(chunk: Waiting[], status: number, wait: number, json: { results?: Result[]; error?: Problem }): boolean {
    if (status === 413 && chunk.length > 1) {
      this.limit = Math.ceil(chunk.length / 2);
      return true;
    }
    if (status === 408 || status === 429 || status >= 500) return this.later(wait);
    if (status >= 400) {
      const error = json.error ?? { code: `http_${status}`, message: `The collector answered ${status}` };
      for (const { id } of chunk) this.done({ event_id: id, status: "dropped", error });
      return true;
    }
    const answers = new Map((json.results ?? []).map((result) => [result.event_id, result]));
    let retry = false;
    for (const { id } of chunk) {
      const result = answers.get(id);
      if (result?.status === "accepted") this.done({ event_id: id, status: "stored" });
      else if (result?.status === "rejected") this.done({ event_id: id, status: "rejected", error: result.error });
      else retry = true;
    }
    if (retry) return this.later(wait);
    this.attempt = 0;
    this.limit = CHUNK_EVENTS;
    return true;
  }

  private done(delivery: Delivery): void {
    this.queue.remove(delivery.event_id);
    this.mine.delete(delivery.event_id);
    this.settle(delivery);
  }

  private later(wait: number): false {
    this.stop();
    this.told = wait > 0;
    const again = (): void => {
      this.stop();
      this.wake();
    };
    this.timer = idle(setTimeout(again, backoff(this.attempt++, wait)));
    return false;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** On servers a waiting retry must not keep the process alive; browsers' timers are numbers. */
function idle<T>(timer: T): T {
  (timer as { unref?: () => void }).unref?.();
  return timer;
}

/** The JSON of an answer; an empty object where a proxy answered something else. */
async function answer(response: Response): Promise<{ results?: Result[]; error?: Problem }> {
  const text = await response.text();
  try {
    const json: unknown = JSON.parse(text);
    return json && typeof json === "object" ? json : {};
  } catch {
    return {};
  }
}
