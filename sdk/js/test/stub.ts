/** A collector on a real socket that records what arrives and answers as a test tells it to. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface Body {
  events: Record<string, unknown>[];
  sent_at: string;
  key: string;
  dropped?: { event_id: string; counts: Record<string, number> };
}

export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  /** Status per event; accepted unless told, null leaves the event out of the answer. */
  results?: (event: Record<string, unknown>) => { status: string; error?: object } | null;
  body?: string;
  /** Holds the answer back until it resolves. */
  wait?: Promise<void>;
  /** Closes the connection without an answer. */
  cut?: boolean;
}

export class Stub {
  readonly bodies: Body[] = [];
  readonly types: (string | undefined)[] = [];
  readonly answers: Answer[] = [];
  /** When each request came, in milliseconds. */
  readonly times: number[] = [];
  /** Answers by what a request holds; `answers` come first. */
  decide: ((events: Record<string, unknown>[]) => Answer) | undefined;
  url = "";
  private readonly server = createServer((request, response) => {
    void read(request).then(async (text) => {
      const body = JSON.parse(text) as Body;
      this.bodies.push(body);
      this.types.push(request.headers["content-type"]);
      this.times.push(performance.now());
      const answer = this.answers.shift() ?? this.decide?.(body.events) ?? {};
      await answer.wait;
      if (answer.cut) {
        request.socket.destroy();
        return;
      }
      const results = body.events.flatMap((event) => {
        const result = answer.results ? answer.results(event) : { status: "accepted" };
        return result ? [{ event_id: event.event_id, ...result }] : [];
      });
      response.writeHead(answer.status ?? 202, answer.headers);
      response.end(answer.body ?? JSON.stringify({ results }));
    });
  });

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return this;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  get events(): Record<string, unknown>[] {
    return this.bodies.flatMap((body) => body.events);
  }
}

async function read(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of request) text += String(part);
  return text;
}
