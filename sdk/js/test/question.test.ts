import assert from "node:assert/strict";
import { test } from "node:test";
import { canAsk, type LabelDefinition, numberIn, offersOf, readLabel, stepOf, wordsIn } from "../src/elements/question.js";
import { QUESTION_WORDS } from "../src/elements/question_words.js";
import * as bundle from "../src/label.js";

const TONE: LabelDefinition = {
  path: "tone",
  kind: "choice",
  title: { en: "Tone", zh: "语气" },
  choices: [
    { key: "kind", title: { en: "Kind", zh: "友善" }, shortcut: "K" },
    { key: "gone", archived: true },
    { key: "rude", title: { en: "Rude", zh: "" } },
    { key: "odd", title: "" },
  ],
};
const scale = (min: number | null, max: number | null, step: number | null = null): LabelDefinition => ({ path: "r", kind: "rating", min, max, step });
const values = (label: LabelDefinition): unknown[] => offersOf(label, false, "Yes", "No").map((one) => one.value);

test("importing on a server defines nothing", () => {
  assert.equal(typeof (globalThis as { customElements?: unknown }).customElements, "undefined");
  assert.doesNotThrow(() => bundle.defineLabel());
});

test("a definition is copied, without what the console says beside it", () => {
  const given = { path: "polite", version: 3, title: { en: "Polite?", zh: "" }, history: [{}], health: {}, min: null };
  const label = readLabel(given)!;
  given.title.en = "Changed";
  assert.deepEqual(label, { path: "polite", version: 3, kind: "bool", title: { en: "Polite?", zh: "" }, min: null });
});

test("nothing is asked where there is no label, or one that is no longer used", () => {
  for (const value of [null, undefined, {}, { error: { code: "not_found" } }, { path: "old", deprecated: true }]) assert.equal(readLabel(value), null);
});

test("a text in one language stands for the other", () => {
  assert.equal(wordsIn({ en: "Tone", zh: "语气" }, true), "语气");
  assert.equal(wordsIn({ en: "Tone", zh: "" }, true), "Tone");
  assert.equal(wordsIn({ en: "", zh: "语气" }, false), "语气");
  assert.equal(wordsIn("Tone", true), "Tone");
  assert.equal(wordsIn(undefined, true), "");
});

test("archived choices are not offered; each choice has its own key", () => {
  assert.deepEqual(offersOf(TONE, true, "", ""), [
    { value: "kind", title: "友善", key: "k" },
    { value: "rude", title: "Rude", key: "2" },
    { value: "odd", title: "odd", key: "3" },
  ]);
  const clash: LabelDefinition = { path: "c", kind: "multi", choices: [{ key: "a" }, { key: "b", shortcut: "1" }, { key: "c", shortcut: "?" }] };
  assert.deepEqual(offersOf(clash, false, "", "").map((one) => one.key), ["", "1", "3"]);
  const many = Array.from({ length: 11 }, (_, n) => ({ key: `c${n}` }));
  assert.deepEqual(offersOf({ path: "m", kind: "choice", choices: many }, false, "", "").map((one) => one.key).slice(8), ["9", "", ""]);
});

test("yes and no are words of the page and values of the wire", () => {
  assert.deepEqual(offersOf({ path: "polite", kind: "bool" }, true, "是", "否"), [
    { value: true, title: "是", key: "y" },
    { value: false, title: "否", key: "n" },
  ]);
});

test("a short scale is offered number by number, a long one is written", () => {
  assert.deepEqual(values(scale(1, 5, 1)), [1, 2, 3, 4, 5]);
  assert.deepEqual(values(scale(0, 0.5, 0.1)), [0, 0.1, 0.2, 0.3, 0.4, 0.5]);
  assert.deepEqual(values(scale(-1, 1, null)), [-1, 0, 1]);
  assert.deepEqual(values(scale(1, 6, 2)), [1, 3, 5]);
  assert.equal(values(scale(0, 10, 1)).length, 11);
  for (const long of [scale(0, 11, 1), scale(0, 100), scale(0.5, 1)]) assert.deepEqual(values(long), []);
  assert.deepEqual(offersOf(scale(9, 10, 1), false, "", "").map((one) => one.key), ["9", ""]);
});

test("a written number must lie on the scale, at its ends too", () => {
  assert.deepEqual(["0", "100", " 55 ", "0.5", "-1", "101", "", "x"].map((text) => numberIn(scale(0, 100, 1), text)), [0, 100, 55, null, null, null, null, null]);
  assert.deepEqual(["0.3", "0.35"].map((text) => numberIn(scale(0, 2, 0.1), text)), [0.3, null]);
  assert.equal(stepOf(scale(0, 100)), 0);
  assert.equal(numberIn(scale(0, 100), "12.345"), 12.345);
});

test("what cannot be asked in a chat is known", () => {
  const ask = (label: Partial<LabelDefinition>): boolean => canAsk({ path: "x", kind: "bool", ...label });
  assert.ok(ask({}) && ask({ scope: "candidate" }) && ask(TONE) && ask(scale(1, 5)) && ask({ kind: "text" }));
  for (const label of [{ scope: "pair" }, { kind: "ranking" }, { kind: "span" }, scale(5, 5), scale(null, 5), { kind: "choice" }]) assert.ok(!ask(label));
  assert.ok(!ask({ kind: "multi", choices: [{ key: "gone", archived: true }] }));
});

test("its words exist in both languages, with the same figures", () => {
  const { en, "zh-Hans": zh } = QUESTION_WORDS;
  assert.deepEqual(Object.keys(en), Object.keys(zh));
  const figures = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
  for (const [id, text] of Object.entries(en)) {
    const other = zh[id as keyof typeof zh];
    assert.match(other, /\p{Script=Han}/u, id);
    assert.deepEqual(figures(other), figures(text), id);
  }
});
