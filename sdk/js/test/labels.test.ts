import assert from "node:assert/strict";
import { test } from "node:test";
import { LABELS, language } from "../src/elements/labels.js";

test("every sentence exists in both languages and none is empty", () => {
  assert.deepEqual(Object.keys(LABELS.en).sort(), Object.keys(LABELS["zh-Hans"]).sort());
  for (const labels of Object.values(LABELS)) {
    for (const [id, text] of Object.entries(labels)) assert.ok(text.trim(), `${id} is empty`);
  }
});

test("Chinese sentences are Chinese", () => {
  for (const [id, text] of Object.entries(LABELS["zh-Hans"])) assert.match(text, /\p{Script=Han}/u, id);
});

test("language tags find the nearest language", () => {
  assert.deepEqual(["zh", "zh-CN", "zh-Hans-SG", "en-GB", "fr", ""].map(language), ["zh-Hans", "zh-Hans", "zh-Hans", "en", "en", "en"]);
});
