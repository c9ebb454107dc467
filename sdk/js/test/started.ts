// A stub collector and a client of it, new for each test of the file that imports them.
import { afterEach, beforeEach, mock } from "node:test";
import { type Client, init, type Options } from "../src/index.js";
import type { Problem } from "../src/wire.js";
import { Stub } from "./stub.js";

export const KEY = "tw_pub_test";
export const THUMB = { interaction_id: "i-1", candidate_id: "c-1", value: "up" } as const;

export let stub: Stub;
export let client: Client;
export let problems: Problem[];

beforeEach(async () => {
  stub = await new Stub().start();
  problems = [];
});

afterEach(async () => {
  await client?.shutdown(50);
  stub.stop();
  mock.restoreAll();
});

export function start(options: Partial<Options> = {}): Client {
  client = init({ url: stub.url, key: KEY, actor: "u-1", onError: (problem) => problems.push(problem), ...options });
  return client;
}

/** Backoff draws zero, so that retries follow at once. */
export function hurryRetries(): void {
  mock.method(Math, "random", () => 0);
}

export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 3000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("it did not happen within 3 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function eventually(flush: () => Promise<boolean>): Promise<boolean> {
  for (let i = 0; i < 20; i++) if (await flush()) return true;
  return false;
}
