import assert from "node:assert/strict";
import { test } from "node:test";
import * as sdk from "../src/elements.js";

test("importing on a server defines nothing and touches no global", () => {
  assert.equal(typeof (globalThis as { customElements?: unknown }).customElements, "undefined");
  assert.doesNotThrow(() => sdk.defineElements());
  assert.equal("Thumbwheel" in globalThis, false);
});
