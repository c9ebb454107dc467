/** The client a host page or server holds. Nothing here throws into the host: problems go to `onError`. */
import { type Asked, Campaigns, fnv } from "./campaigns.js";
import { Claims } from "./claims.js";
import { json } from "./json.js";
import { byteLength, findStorage, Queue } from "./queue.js";
import { Reports, type Untold } from "./reports.js";
import { Sender } from "./sender.js";
import { entries, leaveScope, scopeOf, takeOver } from "./scope.js";
import { Slot } from "./slot.js";
import { uuid7 } from "./uuid.js";
import type {
  Actor, Annotation, Campaign, Choice, Delivery, Edit, EventType, FeedbackEvent, Fields, Interaction, Pick, Problem, Question, Retract,
  Thumb,
} from "./wire.js";

declare const __VERSION__: string;

/** The collector's cap for one event. */
const EVENT_MAX_BYTES = 256 * 1024;

export interface Options {
  /** Address of the collector, such as `https://feedback.example.com`. */
  url: string;
  /** Public key in pages, secret key on servers. */
  key: string;
  /**
   * Any name; needed where one site sends to several projects of one collector. What waits, an opt-out and drafts belong to
   * collector and project: another key finds them again, another project does not.
   */
  project?: string;
  /** Who gives the feedback; a pseudonymous id. Each call may name another. */
  actor?: string | Actor;
  /** `required` stores and sends nothing before `optIn()`. */
  consent?: "granted" | "required";
  /** Path of the events route; ad blockers match paths. */
  path?: string;
  /** Added to every event that does not name its own. */
  source?: string;
  labels?: string[];
  context?: Record<string, unknown>;
  conversation_id?: string;
  /** Sees every event before it is kept; returns it, changed or not, or null to drop it. */
  beforeSend?: (event: FeedbackEvent) => FeedbackEvent | null;
  /** Hears of every event that will not arrive, and why. */
  onError?: (problem: Problem, event_id?: string) => void;
  /** Most events kept while they cannot be sent. */
  maxEvents?: number;
  /** Most bytes of them; localStorage holds about 5 MB for the whole site. */
  maxBytes?: number;
}

export class Client {
  /** Events that will not arrive, by reason. */
  readonly dropped: Record<string, number> = {};
  /** Of this collector and project, in the names of what the browser keeps. */
  readonly scope: string;
  private readonly storage = findStorage();
  private readonly queue: Queue;
  private readonly sender: Sender;
  private readonly campaigns: Campaigns;
  private readonly consent: Slot<string>;
  private readonly untold: Slot<Untold>;
  private readonly asked: Slot<Asked[]>;
  private readonly reports: Reports;
  private readonly listeners = new Set<(delivery: Delivery) => void>();
  private closed = false;

  constructor(private readonly options: Options) {
    const host = String(options.url).replace(/\/+$/, "");
    const url = host + (options.path ?? "/v1/events");
    const byKey = fnv(url + options.key).toString(36);
    const scope = (this.scope = this.storage ? scopeOf(host, options.key, options.project, byKey) : byKey);
    guarded(() => takeOver(this.storage, byKey, scope));
    const slot = <T>(name: string): Slot<T> => new Slot(this.storage, `thumbwheel.${name}.${scope}`);
    this.consent = slot("consent");
    this.reports = new Reports((this.untold = slot("dropped")));
    const prefix = `thumbwheel.1.${scope}.`;
    this.queue = new Queue(prefix, this.storage, options.maxEvents ?? 1000, options.maxBytes ?? 512 * 1024);
    this.sender = new Sender(url, options.key, this.queue, prefix, this.reports, new Claims(slot("claim")), (delivery) => this.settle(delivery));
    this.campaigns = new Campaigns(host + "/v1/campaigns", options.key, (this.asked = slot("asked")));
    if (this.usable()) this.listen("addEventListener");
    if (this.usable() && this.allowed && this.queue.all().length) this.sender.wake();
  }

  /** Whether feedback may be kept and sent: the consent in force, also where another tab gave or took it. */
  get allowed(): boolean {
    return (this.consent.read() ?? (this.options.consent === "required" ? "denied" : "granted")) === "granted";
  }

  /** Each call returns the event's id, or null when it was not kept; `dropped` and `onError` say why. */
  thumb(fields: Thumb): string | null {
    return this.keep("thumb", fields);
  }

  choice(fields: Choice): string | null {
    return this.keep("choice", fields);
  }

  pick(fields: Pick): string | null {
    return this.keep("pick", fields);
  }

  edit(fields: Edit): string | null {
    return this.keep("edit", fields);
  }

  /** Answers to labels, by label path; each replaces the actor's earlier answer to that label alone. */
  annotate(fields: Annotation): string | null {
    return this.keep("annotation", fields);
  }

  /** Takes a vote back. The history stays, the vote no longer counts. */
  retract(fields: Retract): string | null {
    return this.keep("retract", fields);
  }

  /** What was asked and shown. Needs a secret key: servers only. */
  interaction(fields: Interaction): string | null {
    return this.keep("interaction", fields);
  }

  /**
   * The open campaign that asks the actor about this interaction, or null. The answer is the same however often it is
   * asked, here and in a backend.
   */
  async campaign(question: Question): Promise<Campaign | null> {
    try {
      const actor = question.actor ?? this.options.actor;
      const id = typeof actor === "string" ? actor : actor?.id;
      if (!id || !this.allowed || this.closed || !this.usable()) return null;
      return await this.campaigns.decide({ ...question, labels: question.labels ?? this.options.labels }, id);
    } catch {
      return null;
    }
  }

  /** Calls `listener` with what became of each event; returns the function that ends it. */
  subscribe(listener: (delivery: Delivery) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Sends what waits now. True when nothing waits any more; false after `timeoutMs`. */
  async flush(timeoutMs = 5000): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
    if (this.allowed && this.usable()) await Promise.race([this.sender.hurry(), timeout]);
    clearTimeout(timer);
    return this.queue.all().length === 0;
  }

  /** Flushes, then takes nothing more. What could not be sent goes at the next visit. */
  async shutdown(timeoutMs = 5000): Promise<boolean> {
    const empty = await this.flush(timeoutMs);
    this.closed = true;
    this.sender.stop();
    this.listen("removeEventListener");
    leaveScope(this.scope);
    return empty;
  }

  optIn(): void {
    this.setConsent(true);
  }

  /** Forgets what waits and keeps nothing from now on, in all tabs. */
  optOut(): void {
    this.setConsent(false);
    this.forget();
  }

  private forget(): void {
    this.queue.clear();
    this.asked.write(null);
    this.untold.write(null);
    this.sender.stop();
    guarded(() => entries(this.storage, this.scope, true).forEach((name) => this.storage!.removeItem(name)));
  }

  private keep<T extends EventType>(type: T, fields: Fields[T]): string | null {
    let id = fields?.event_id;
    try {
      if (!this.allowed) return this.drop("consent", "Feedback is off until optIn() is called", id);
      if (this.closed) return this.drop("closed", "The client was shut down", id);
      if (!this.usable()) return this.drop("secret_key", "A secret key has no place in a page", id, "Use the public key");
      if (type === "interaction" && !this.options.key.startsWith("tw_sec_")) {
        return this.drop("needs_secret_key", "An interaction is recorded by a server", id, "Use a secret key there");
      }
      const made = this.envelope(type, fields);
      id = made.event_id;
      const event = this.options.beforeSend ? this.options.beforeSend(made) : made;
      if (!event) return this.drop("before_send", "beforeSend dropped the event", id);
      id = event.event_id;
      if (!event.actor?.id) return this.drop("actor", "The event names no actor", id, "Pass actor to init()");
      const text = json(event);
      if (byteLength(text) > EVENT_MAX_BYTES) return this.drop("too_large", "The event is over 256 KiB", id);
      this.sender.mine.add(id);
      for (const gone of this.queue.add(id, text, this.sender.inFlight)) {
        this.sender.mine.delete(gone);
        this.settle({ event_id: gone, status: "dropped", error: { code: "queue_full", message: "The queue is full" } });
      }
      this.sender.wake();
      return id;
    } catch (error) {
      return this.drop("failed", String(error), id);
    }
  }

  private envelope<T extends EventType>(type: T, fields: Fields[T]): FeedbackEvent {
    const { source, labels, context, conversation_id } = this.options;
    const actor = fields.actor ?? this.options.actor;
    return {
      source, labels, context, conversation_id,
      event_id: uuid7(),
      occurred_at: new Date().toISOString(),
      ...fields,
      type,
      actor: (typeof actor === "string" ? { id: actor, kind: "user" } : actor)!,
      sdk: { name: "thumbwheel-js", version: __VERSION__ },
    };
  }

  private settle(delivery: Delivery): void {
    if (delivery.status === "stored") this.tell(delivery);
    else this.lose(delivery);
  }

  private drop(code: string, message: string, event_id?: string, hint?: string): null {
    this.lose({ event_id: event_id ?? "", status: "dropped", error: { code, message, hint } });
    return null;
  }

  private lose(delivery: Delivery): void {
    const problem = delivery.error ?? { code: delivery.status, message: "The collector rejected the event" };
    this.dropped[problem.code] = (this.dropped[problem.code] ?? 0) + 1;
    // The collector keeps what it rejected; of everything else it hears from us.
    if (delivery.status === "dropped") this.reports.add(problem.code);
    guarded(() => this.options.onError?.(problem, delivery.event_id || undefined));
    this.tell(delivery);
  }

  private tell(delivery: Delivery): void {
    for (const listener of this.listeners) guarded(() => listener(delivery));
  }

  /** A secret key in a page or its workers would be readable by everyone: such a client does nothing. */
  private usable(): boolean {
    return typeof location === "undefined" || !String(this.options.key).startsWith("tw_sec_");
  }

  private readonly onHide = (event: Event): void => {
    const going = event.type === "pagehide";
    if ((going || document.visibilityState === "hidden") && this.allowed) guarded(() => this.sender.leave(going));
  };

  private readonly onOnline = (): void => {
    if (this.allowed) void this.sender.hurry();
  };

  /** Another tab changed the consent. */
  private readonly onStorage = (event: Event): void => {
    if ((event as StorageEvent).key !== this.consent.place) return;
    if (this.allowed) this.sender.wake();
    else this.forget();
  };

  private listen(change: "addEventListener" | "removeEventListener"): void {
    if (typeof window === "undefined" || typeof document === "undefined") return;
    window[change]("pagehide", this.onHide);
    window[change]("online", this.onOnline);
    window[change]("storage", this.onStorage);
    document[change]("visibilitychange", this.onHide);
  }

  private setConsent(granted: boolean): void {
    this.consent.write(granted ? "granted" : "denied");
    if (granted && this.usable()) this.sender.wake();
  }
}

/** Runs what may fail through no fault of ours: a host's callback, or storage that is full. */
function guarded(call: () => void): void {
  try {
    call();
  } catch {
    // The host page goes on as if this SDK were not there.
  }
}
