import assert from "node:assert/strict";
import { test } from "node:test";
import { diff, tokens } from "../src/elements/diff.js";

const marked = (before: string, after: string): string =>
  diff(before, after)
    .map(({ kind, text }) => (kind === "same" ? text : kind === "del" ? `[-${text}-]` : `{+${text}+}`))
    .join("");

test("Latin text differs per word", () => {
  assert.equal(marked("Your parcel is late.", "Your order is late."), "Your [-parcel-]{+order+} is late.");
});

test("Chinese text differs per character", () => {
  assert.equal(marked("您的包裹明天到", "您的包裹后天到"), "您的包裹[-明-]{+后+}天到");
});

test("mixed text keeps Latin words whole beside Chinese characters", () => {
  assert.deepEqual(tokens("订单abc已发, don't"), ["订", "单", "abc", "已", "发", ",", " ", "don't"]);
});

test("a diff always rebuilds both sides", () => {
  const words = ["a", "b", "订", "单", " ", "\n", "😀", "café", "."];
  let seed = 7;
  const random = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 300; round++) {
    const text = (): string => Array.from({ length: Math.floor(random() * 30) }, () => words[Math.floor(random() * words.length)]).join("");
    const [before, after] = [text(), text()];
    const changes = diff(before, after);
    assert.equal(changes.filter((c) => c.kind !== "ins").map((c) => c.text).join(""), before);
    assert.equal(changes.filter((c) => c.kind !== "del").map((c) => c.text).join(""), after);
  }
});

test("two very long texts are compared in bounded time", () => {
  const before = Array.from({ length: 20_000 }, (_, i) => `w${i}`).join(" ");
  const started = performance.now();
  assert.equal(diff(before, before.replace(/w/g, "v")).length, 2);
  assert.ok(performance.now() - started < 2000);
});
