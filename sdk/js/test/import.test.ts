import assert from "node:assert/strict";
import { test } from "node:test";
import * as sdk from "../src/elements.js";

test("importing on a server defines nothing and touches no global", () => {
  assert.equal(typeof (globalThis as { customElements?: unknown }).customElements, "undefined");
  assert.doesNotThrow(() => sdk.defineElements());
  assert.equal("Thumbwheel" in globalThis, false);
});

test("a backend's response names its interaction; one that names none is none", () => {
  const headers = { "X-Thumbwheel-Interaction-Id": "i-1", "X-Thumbwheel-Candidate-Ids": "c-1,c-2" };
  assert.deepEqual(sdk.interactionOf(new Response("", { headers })), {
    interaction_id: "i-1",
    candidates: [{ candidate_id: "c-1" }, { candidate_id: "c-2" }],
  });
  assert.equal(sdk.interactionOf(new Response("")), null);
});
