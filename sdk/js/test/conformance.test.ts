/** The cases of sdk/conformance, which every SDK must pass. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Client, type Options } from "../src/client.js";
import { type Answer, Stub } from "./stub.js";

type Json = Record<string, unknown>;
type Word = string | { status: number; headers?: Record<string, string>; body?: string; code?: string };
interface Call {
  call: "thumb" | "choice" | "pick" | "edit" | "annotate" | "retract" | "interaction";
  fields: Json;
}

const V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const cases = (name: string): any[] =>
  JSON.parse(readFileSync(join(process.env.THUMBWHEEL_CONFORMANCE!, `${name}.json`), "utf-8"));

/** Writes out texts given as {"repeat": {"text", "times"}}. */
function expand(value: any): any {
  if (!value || typeof value !== "object" || Array.isArray(value)) return value;
  if ("repeat" in value) return value.repeat.text.repeat(value.repeat.times);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, expand(item)]));
}

/** Init settings are spelled as on the wire; ours are those names but for the hooks. */
async function connected(init: Partial<Options> | undefined, use: (client: Client, stub: Stub) => Promise<void>) {
  const stub = await new Stub().start();
  const client = new Client({ url: stub.url, key: "tw_sec_test", actor: "u-1", ...init });
  const random = Math.random;
  Math.random = () => 0;
  try {
    await use(client, stub);
  } finally {
    Math.random = random;
    await client.shutdown(10);
    stub.stop();
  }
}

const make = (client: Client, { call, fields }: Call): string | null => client[call](expand(fields));

/** Flushes as often as it takes: a pause the collector asked for is not cut short. */
async function settled(client: Client): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    if (await client.flush(1000)) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

function server(answers: Record<string, Word[]>, most = 500, bad: string[] = []): (events: Json[]) => Answer {
  const left = structuredClone(answers);
  return (events) => {
    const error = (code: string) => JSON.stringify({ error: { code, message: "m", hint: "h" } });
    if (events.length > most) return { status: 413, body: error("too_large") };
    if (events.some((event) => bad.includes(String(event.candidate_id)))) return { status: 400, body: error("invalid_body") };
    const now = new Map(events.map((event) => [event, left[String(event.candidate_id)]!.shift()!]));
    const whole = now.get(events[0]!)!;
    if (whole === "cut") return { cut: true };
    if (typeof whole === "object") {
      return { status: whole.status, headers: whole.headers, body: whole.body ?? error(whole.code ?? "busy") };
    }
    return {
      status: 207,
      results: (event) => {
        const word = String(now.get(event));
        if (word === "missing") return null;
        return word === "rejected"
          ? { status: word, error: { code: "invalid_event", message: "m", hint: "h" } }
          : { status: word };
      },
    };
  };
}

for (const one of cases("calls")) {
  test(`a call becomes this event: ${one.name}`, () =>
    connected(one.init, async (client, stub) => {
      const id = make(client, one);
      assert.ok(await client.flush());
      assert.equal(stub.events.length, 1);
      const { sdk, ...event } = stub.events[0] as Json;
      assert.deepEqual(Object.keys(sdk as Json).sort(), ["name", "version"]);
      assert.equal(event.event_id, id);
      if (!("event_id" in one.event)) {
        assert.match(String(event.event_id), V7);
        delete event.event_id;
      }
      if (!("occurred_at" in one.event)) {
        assert.match(String(event.occurred_at), /(Z|[+-]\d\d:\d\d)$/);
        delete event.occurred_at;
      }
      assert.deepEqual(event, one.event);
    }));
}

for (const one of cases("kept_back")) {
  test(`a call sends nothing: ${one.name}`, () =>
    connected(one.init, async (client, stub) => {
      assert.equal(make(client, one), null);
      assert.ok(await client.flush());
      assert.deepEqual(client.dropped, { [one.reason]: 1 });
      assert.equal(stub.bodies.length, 0);
    }));
}

for (const one of cases("answers")) {
  test(`an answer leads to this: ${one.name}`, () =>
    connected(undefined, async (client, stub) => {
      stub.decide = server(one.answers, one.max_events, one.bad);
      for (const name of one.events) client.thumb({ interaction_id: "i-1", candidate_id: name, value: "up" });
      assert.ok(await settled(client));
      assert.deepEqual(client.dropped, one.dropped ?? {});
      const tries: Record<string, number> = {};
      for (const event of stub.events) tries[String(event.candidate_id)] = (tries[String(event.candidate_id)] ?? 0) + 1;
      for (const [name, count] of Object.entries(one.tries ?? {})) assert.equal(tries[name], count, name);
      if (one.not_before_s) assert.ok(stub.times[1]! - stub.times[0]! >= one.not_before_s * 1000 - 5);
    }));
}

for (const one of cases("reports")) {
  test(`what was given up is told: ${one.name}`, () =>
    connected(one.init, async (client, stub) => {
      for (const call of one.before ?? []) assert.equal(make(client, call), null);
      if (one.opt_in) client.optIn();
      for (const [number, answers] of one.batches.entries()) {
        stub.decide = server({ [`c-${number}`]: answers });
        client.thumb({ interaction_id: "i-1", candidate_id: `c-${number}`, value: "up" });
        assert.ok(await settled(client));
      }
      const told = stub.bodies.map((body) => body.dropped ?? null);
      assert.deepEqual(told.map((report) => report && report.counts), one.reports);
      const ids = new Set(told.flatMap((report) => (report ? [report.event_id] : [])));
      assert.ok(ids.size <= 1);
      for (const id of ids) assert.match(id, V7);
    }));
}

for (const one of cases("overfull")) {
  test(`more than may wait: ${one.name}`, () =>
    connected({ maxEvents: one.max_events }, async (client, stub) => {
      let release = (): void => undefined;
      stub.answers.push({ wait: new Promise<void>((resolve) => (release = resolve)) });
      const [first, ...others] = one.events;
      const made = (name: string) => client.thumb({ interaction_id: "i-1", candidate_id: name, value: "up" });
      made(first);
      while (!stub.bodies.length) await new Promise((resolve) => setTimeout(resolve, 5));
      others.forEach(made);
      release();
      assert.ok(await settled(client));
      assert.deepEqual(stub.events.map((event) => event.candidate_id).sort(), one.arrive);
      assert.deepEqual(client.dropped, one.dropped);
    }));
}

/** What a browser keeps for a site: entries are own properties. */
class MemoryStorage {
  [key: string]: unknown;
  getItem(key: string): string | null {
    return (this[key] as string | undefined) ?? null;
  }
  setItem(key: string, text: string): void {
    this[key] = text;
  }
  removeItem(key: string): void {
    delete this[key];
  }
}

for (const one of cases("restarts")) {
  test(`after a restart: ${one.name}`, async () => {
    const page = globalThis as { localStorage?: unknown };
    page.localStorage = new MemoryStorage();
    try {
      await connected(undefined, async (first, stub) => {
        const decide = server(Object.fromEntries(one.events.map((name: string) => [name, [one.first[name]]])));
        stub.decide = (events) => ({ ...decide(events), headers: { "Retry-After": "300" } });
        for (const call of one.before ?? []) assert.equal(make(first, call), null);
        const made = (name: string) => [name, first.thumb({ interaction_id: "i-1", candidate_id: name, value: "up" })];
        const ids = Object.fromEntries(one.events.map(made));
        // A busy machine may take its time to send, and to read the answer.
        for (let tries = 0; tries < 100 && stub.events.length < one.events.length; tries++) await first.flush(100);
        for (let tries = 0; tries < 10; tries++) await first.flush(100);
        await first.shutdown(0);
        assert.deepEqual(first.dropped, one.dropped ?? {});
        stub.bodies.length = 0;
        stub.decide = undefined;
        const again = new Client({ url: stub.url, key: "tw_sec_test", actor: "u-1" });
        assert.ok(await settled(again));
        await again.shutdown(10);
        const arrived = stub.events.map((event) => [event.candidate_id, event.event_id]);
        assert.deepEqual(arrived, one.again.map((name: string) => [name, ids[name]]));
        const told = stub.bodies.flatMap((body) => (body.dropped ? [body.dropped.counts] : []));
        assert.deepEqual(told, one.reports ?? []);
      });
    } finally {
      delete page.localStorage;
    }
  });
}
