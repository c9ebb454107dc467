/** Which campaign asks: the cases of sdk/conformance, and what the browser keeps. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { Client, type Options } from "../src/client.js";

const YEAR_S = 31_536_000;
const cases = JSON.parse(readFileSync(join(process.env.THUMBWHEEL_CONFORMANCE!, "campaigns.json"), "utf-8"));
const EVERYBODY = [{ campaign_id: "ca-1", surface: "chat", rate: 1, cooldown_s: 3600 }];

interface Served {
  url: string;
  asked: (string | undefined)[];
}

/** Answers GET /v1/campaigns. */
async function serving(campaigns: unknown, use: (served: Served) => Promise<void>, fresh_for_s = YEAR_S, status = 200) {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    response.writeHead(status).end(JSON.stringify({ campaigns, fresh_for_s }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const connect = (url: string, options: Partial<Options> = {}): Client =>
  new Client({ url, key: "tw_sec_test", actor: "u-1", ...options });

class Memory {
  readonly items = new Map<string, string>();
  get length(): number {
    return this.items.size;
  }
  key = (index: number): string | null => [...this.items.keys()][index] ?? null;
  getItem = (key: string): string | null => this.items.get(key) ?? null;
  setItem = (key: string, value: string): void => void this.items.set(key, value);
  removeItem = (key: string): void => void this.items.delete(key);
}

const { now } = Date;
afterEach(() => {
  Date.now = now;
  delete (globalThis as { localStorage?: unknown }).localStorage;
});

for (const one of cases) {
  test(`a question is decided so: ${one.name}`, () =>
    serving(one.campaigns, async ({ url }) => {
      const client = connect(url, one.init);
      const begun = now();
      for (const [question, wanted, at] of one.ask) {
        Date.now = () => begun + (at ?? 0) * 1000;
        assert.equal((await client.campaign(question))?.campaign_id ?? null, wanted, JSON.stringify(question));
      }
    }));
}

test("the list is fetched once, with the key in the header", () =>
  serving(EVERYBODY, async ({ url, asked }) => {
    const client = connect(url);
    await Promise.all(Array.from({ length: 20 }, (_, n) => client.campaign({ interaction_id: `i-${n}` })));
    assert.deepEqual(asked, ["GET /v1/campaigns Bearer tw_sec_test"]);
  }));

test("a list that is out of date is fetched again", () =>
  serving(EVERYBODY, async ({ url, asked }) => {
    const client = connect(url);
    for (let n = 0; n < 3; n++) await client.campaign({ interaction_id: "i-1" });
    assert.equal(asked.length, 3);
  }, 0));

test("a reload changes nothing, and storage somebody spoilt does no harm", () =>
  serving(EVERYBODY, async ({ url }) => {
    const storage = new Memory();
    (globalThis as { localStorage?: unknown }).localStorage = storage;
    assert.equal((await connect(url).campaign({ interaction_id: "i-1" }))?.campaign_id, "ca-1");
    assert.equal((await connect(url).campaign({ interaction_id: "i-1" }))?.campaign_id, "ca-1");
    assert.equal(await connect(url).campaign({ interaction_id: "i-2" }), null);
    const place = [...storage.items.keys()].find((key) => key.startsWith("thumbwheel.asked."))!;
    for (const spoilt of ["{", "7", "[1,null]"]) {
      storage.items.set(place, spoilt);
      await connect(url).campaign({ interaction_id: "i-3" });
    }
    assert.equal((await connect(url).campaign({ interaction_id: "i-3" }))?.campaign_id, "ca-1");
  }));

test("turning feedback off forgets who was asked", () =>
  serving(EVERYBODY, async ({ url }) => {
    const storage = new Memory();
    (globalThis as { localStorage?: unknown }).localStorage = storage;
    const client = connect(url);
    await client.campaign({ interaction_id: "i-1" });
    client.optOut();
    assert.equal(await client.campaign({ interaction_id: "i-1" }), null);
    assert.ok(![...storage.items.keys()].some((key) => key.startsWith("thumbwheel.asked.")));
  }));

test("a collector that is away or fails asks nobody", async () => {
  assert.equal(await connect("http://127.0.0.1:9").campaign({ interaction_id: "i-1" }), null);
  await serving(EVERYBODY, async ({ url, asked }) => {
    const client = connect(url);
    for (let n = 0; n < 5; n++) assert.equal(await client.campaign({ interaction_id: `i-${n}` }), null);
    assert.equal(asked.length, 1);
  }, YEAR_S, 503);
});

test("without an actor nobody is asked", () =>
  serving(EVERYBODY, async ({ url }) => {
    assert.equal(await new Client({ url, key: "tw_pub_test" }).campaign({ interaction_id: "i-1" }), null);
  }));
