import assert from "node:assert/strict";
import { test } from "node:test";
import { json } from "../src/json.js";

const cut = "Well done 👍".slice(0, -1);

test("what JSON.stringify writes is written, whole pairs and escapes too", () => {
  const value = { a: [1, "x\n\u2028\\ud83d", null, undefined, { b: "👍字\u0000" }], at: new Date(0), never: undefined, big: 1e21, odd: [NaN, () => 1] };
  assert.equal(json(value), JSON.stringify(value));
  assert.equal(json({ at: new Date(NaN), url: new URL("http://a/") }), '{"at":null,"url":"http://a/"}');
});

test("half of a surrogate pair becomes U+FFFD, in values, names and deep inside", () => {
  assert.deepEqual(JSON.parse(json({ text: cut, [`k${cut}`]: [{ deep: [`\udc4d${cut}`, "\\" + cut] }] })), {
    text: "Well done \ufffd",
    "kWell done \ufffd": [{ deep: ["\ufffdWell done \ufffd", "\\Well done \ufffd"] }],
  });
});

test("a page that gives arrays, dates and texts a toJSON of its own changes nothing", () => {
  const value = { list: [1, ["a", { b: [] }]], at: new Date(0), text: "x", set: { toJSON: () => [1] } };
  const wanted = JSON.stringify(value);
  const changed = [Array, Date, String, Number].map(({ prototype }) => prototype as { toJSON?: () => string });
  const before = changed.map((one) => Object.getOwnPropertyDescriptor(one, "toJSON"));
  for (const one of changed) one.toJSON = () => "host";
  try {
    assert.equal(json(value), wanted);
    assert.equal(json([[1], { a: [2] }]), '[[1],{"a":[2]}]');
  } finally {
    changed.forEach((one, i) => {
      delete one.toJSON;
      if (before[i]) Object.defineProperty(one, "toJSON", before[i]!);
    });
  }
});
