import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff, isFinal, retryAfterMs } from "../src/answers.js";

test("the pause doubles up to five minutes and is drawn from the whole range", () => {
  assert.deepEqual([0, 1, 2, 3].map((n) => backoff(n, 0, () => 1)), [1000, 2000, 4000, 8000]);
  assert.equal(backoff(50, 0, () => 1), 300_000);
  assert.equal(backoff(50, 0, () => 0), 0);
});

test("Retry-After is a minimum, at most ten minutes", () => {
  assert.equal(backoff(0, 7000, () => 0.5), 7000);
  assert.equal(backoff(4, 1000, () => 1), 16_000);
  assert.equal(backoff(0, 3_600_000, () => 0), 600_000);
});

test("Retry-After is read as seconds or as a date", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(retryAfterMs("120", now), 120_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2026 00:00:30 GMT", now), 30_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2015 00:00:30 GMT", now), 0);
  assert.equal(retryAfterMs("soon", now), 0);
  assert.equal(retryAfterMs(null, now), 0);
});

test("an error is the collector's only in the collector's shape", () => {
  assert.equal(isFinal({ code: "invalid_key", message: "m", hint: "h" }), true);
  for (const other of [undefined, "no", { code: "Forbidden", message: "No." }, { message: "m", hint: "h" }]) {
    assert.equal(isFinal(other as never), false);
  }
});
