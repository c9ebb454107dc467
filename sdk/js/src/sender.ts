/**
 * Sends what waits in the queue: one request at a time, and no event from two tabs at once.
 *
 * Final is only what the collector itself says: an event's result, or an error of its own shape. All else is sent again:
 * 408, 429, 5xx, network errors, events answered `retry`, and whatever a proxy says in the collector's place. The pause
 * before a retry is drawn from 0 .. 1 s x 2^n (exponential backoff, full jitter), at most 5 min, and never shorter than
 * `Retry-After`.
 */
import { backoff, isFinal, readAnswer, retryAfterMs, type Said } from "./answers.js";
import { type Claims, CLAIM_LAG_MS } from "./claims.js";
import { json } from "./json.js";
import { byteLength, type Queue, type Waiting } from "./queue.js";
import type { Reports } from "./reports.js";
import type { Delivery } from "./wire.js";

/** Browsers allow 64 KiB of keepalive bodies in flight per page; what is over that waits for the next visit. */
const CHUNK_BYTES = 48_000;
const CHUNK_EVENTS = 100;
const TIMEOUT_MS = 15_000;
/** Browsers tell a tab of another tab's writes to localStorage a moment later. */
const STORAGE_LAG_MS = 150;
/** Events of other tabs and visits are left to their owner for so long; then the tab that holds the claim sends them. */
const ADOPT_MS = 3_000;
/** So many requests without an answer in a row, and the page is told what may be wrong. */
const SILENT = 3;

export class Sender {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private adoption: ReturnType<typeof setTimeout> | undefined;
  private running: Promise<void> | null = null;
  private again = false;
  private attempt = 0;
  private told = false;
  private limit = CHUNK_EVENTS;
  private silent = 0;
  /** Ids of events that something other than the collector refused: the rest goes first. */
  private readonly odd = new Set<string>();
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
    private readonly claims: Claims,
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

  /**
   * The page is hidden or, when `going`, at its end: sends its own events in requests that outlive it, without waiting for
   * the lock. While it lives, its claim keeps other tabs from sending them too.
   */
  leave(going: boolean): void {
    const other = this.claims.other();
    if (going) this.claims.release();
    if (this.told || other?.[2]) return;
    let rest = this.pending().filter((item) => this.mine.has(item.id));
    if (rest.length && !going) this.claims.take();
    while (rest.length) {
      const chunk = this.cut(rest);
      rest = rest.slice(chunk.length);
      if (typeof Request === "function" && "keepalive" in Request.prototype) {
        void this.exchange(chunk).then(() => this.release());
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
    let sent = false;
    for (let more = true; more; ) {
      this.again = false;
      const chunk = this.cut(this.next());
      if (!chunk.length) break;
      sent = true;
      more = await this.exchange(chunk);
      if (!more) this.again = false;
    }
    if (sent) this.release();
  }

  private pending(): Waiting[] {
    return this.queue.all().filter((item) => !this.inFlight.has(item.id));
  }

  /**
   * Own events, at once unless another tab is adopting; when there are none, those that others have left for long enough,
   * once a claim to them stands.
   */
  private next(): Waiting[] {
    const pending = this.pending();
    if (!pending.length) return [];
    const own = pending.filter((item) => this.mine.has(item.id));
    if (own.length && !this.claims.other()?.[2]) {
      this.claims.take();
      return own.sort((a, b) => +this.odd.has(a.id) - +this.odd.has(b.id));
    }
    const now = performance.now();
    this.seen = new Map(pending.map(({ id }) => [id, this.seen.get(id) ?? now]));
    const left = pending.filter(({ id }) => now - this.seen.get(id)! >= ADOPT_MS);
    if (left.length && !own.length && this.claims.adopts()) return left;
    this.wakeIn(own.length || left.length ? CLAIM_LAG_MS + 20 : ADOPT_MS + 20);
    return [];
  }

  private release(): void {
    if (this.inFlight.size === 0) this.claims.release();
  }

  private wakeIn(ms: number): void {
    clearTimeout(this.adoption);
    this.adoption = idle(setTimeout(() => this.wake(), ms));
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
    const head = json({ sent_at: new Date().toISOString(), key: this.key, dropped });
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
      this.silent = 0;
      const said = await readAnswer(response);
      told = response.ok && !!said.results?.every((result) => result.status !== "retry");
      return this.read(chunk, response.status, retryAfterMs(response.headers.get("Retry-After")), said);
    } catch {
      if (!abort.signal.aborted) this.unheard();
      return this.later(0);
    } finally {
      if (report) this.reports.settle(told);
      clearTimeout(timeout);
      for (const item of chunk) this.inFlight.delete(item.id);
    }
  }

  /** Browsers hide a refusal of the page's origin: it looks like a network that is down. */
  private unheard(): void {
    const { origin } = globalThis;
    if (++this.silent !== SILENT || !origin || !navigator.onLine) return;
    console.warn(`Thumbwheel: no answer from ${this.url}. Does the key allow ${origin}? thumbwheel keys create public --origin ${origin}`);
  }

  private read(chunk: Waiting[], status: number, wait: number, said: Said): boolean {
    if (status === 408 || status === 429 || status >= 500) return this.later(wait);
    const final = status === 413 || isFinal(said.error);
    // Alone is found out which event it is about.
    if (status >= 400 && chunk.length > 1 && (status === 400 || status === 413 || !final)) {
      this.limit = Math.ceil(chunk.length / 2);
      return final || this.later(wait);
    }
    if (status >= 400 && final) {
      const error = isFinal(said.error) ? said.error : { code: "too_large", message: "A proxy calls the event too large" };
      for (const { id } of chunk) this.done({ event_id: id, status: "dropped", error });
      return true;
    }
    if (status >= 400) {
      this.odd.add(chunk[0]!.id);
      return this.later(wait);
    }
    const answers = new Map((said.results ?? []).map((result) => [result.event_id, result]));
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
    this.odd.delete(delivery.event_id);
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
