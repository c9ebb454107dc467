import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { client, eventually, hurryRetries, start, stub, THUMB } from "./started.js";

test("the queue is bounded by count and by bytes, the oldest goes, and the loss is counted", async () => {
  const fetching = mock.method(globalThis, "fetch", () => Promise.reject(new TypeError("offline")));
  start({ maxEvents: 3 });
  client.thumb({ ...THUMB, candidate_id: "c-0" });
  await client.flush(20);
  for (let i = 1; i < 5; i++) client.thumb({ ...THUMB, candidate_id: `c-${i}` });
  assert.deepEqual(client.dropped, { queue_full: 2 });
  await client.flush(20);
  fetching.mock.restore();
  assert.equal(await eventually(() => client.flush()), true);
  assert.deepEqual(stub.events.map((event) => event.candidate_id), ["c-2", "c-3", "c-4"]);
  start({ maxBytes: 1000 }).edit({ interaction_id: "i", candidate_id: "c", text: "x".repeat(2000) });
  assert.deepEqual(client.dropped, { queue_full: 1 });
});

test("an event over 256 KiB is dropped on its own", () => {
  start().edit({ interaction_id: "i", candidate_id: "c", text: "字".repeat(100_000) });
  assert.deepEqual(client.dropped, { too_large: 1 });
});

test("a thousand events leave in requests under 48 kB", async () => {
  stub.answers.push({ status: 503 });
  hurryRetries();
  start();
  for (let i = 0; i < 1000; i++) client.thumb({ ...THUMB, candidate_id: `c-${i}` });
  assert.equal(await eventually(() => client.flush()), true);
  assert.ok(stub.bodies.every((body) => JSON.stringify(body).length < 48_000));
  assert.equal(new Set(stub.events.map((event) => event.event_id)).size, 1000);
});
