/**
 * Hands an element's feedback to its client and hears what became of it. In: feedback, and a call for the client. Out: what
 * was lost, with why.
 */
import type { Client } from "../client.js";
import type { Delivery, Problem } from "../wire.js";
import type { Submitted } from "./base.js";
import type { Label } from "./labels.js";

/** The part of `Client` an element uses; a host may pass its own, whose calls may return promises. */
export type FeedbackClient = Pick<Client, "thumb" | "choice" | "pick" | "retract"> &
  Partial<Pick<Client, "annotate" | "subscribe" | "allowed" | "scope">>;

/** Hands feedback to the call of the client that is for it. */
export function give(client: FeedbackClient, event: Submitted): unknown {
  return event.type === "annotation" ? client.annotate!(event as never) : client[event.type](event as never);
}

export class Deliveries {
  private readonly awaited = new Map<string, Submitted>();
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly say: (label: Label) => string,
    private readonly lose: (problem: Problem, event: Submitted) => void,
  ) {}

  /** `id` is that of the event sent; `event` is the feedback it is about. */
  send(client: FeedbackClient | null, id: string, event: Submitted, call: (client: FeedbackClient) => unknown): void {
    if (!client) {
      this.lose({ code: "no_client", message: this.say("noClient"), hint: this.say("noClientHint") }, event);
      return;
    }
    this.listen(client);
    this.awaited.set(id, event);
    Promise.resolve()
      .then(() => call(client))
      .catch((error: unknown) => this.lost(event, { code: "failed", message: error instanceof Error ? error.message : String(error) }));
  }

  listen(client: FeedbackClient | null): void {
    this.end();
    this.unsubscribe = client?.subscribe?.((delivery: Delivery) => {
      const event = this.awaited.get(delivery.event_id);
      if (!event) return;
      this.awaited.delete(delivery.event_id);
      const code = delivery.error?.code ?? delivery.status;
      // What the host's own beforeSend drops is the host's wish, not a fault.
      if (delivery.status === "stored" || code === "before_send") return;
      this.lost(event, delivery.error ?? { code, message: "" });
    });
  }

  end(): void {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
  }

  private lost(event: Submitted, problem: Problem): void {
    this.lose({ ...problem, message: `${this.say("notSaved")} ${problem.message}` }, event);
  }
}
