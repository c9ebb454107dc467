import assert from "node:assert/strict";
import { test } from "node:test";
import { uuid7 } from "../src/uuid.js";

test("ids are UUIDv7 and carry the time they were made", () => {
  const now = Date.now() + 1000;
  const id = uuid7(now);
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(parseInt(id.replace(/-/g, "").slice(0, 12), 16), now);
});

test("ten thousand ids of one millisecond are distinct and in order, also when the clock steps back", () => {
  const now = Date.now() + 5000;
  const ids = Array.from({ length: 10_000 }, (_, i) => uuid7(now - i));
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual([...ids].sort(), ids);
});
