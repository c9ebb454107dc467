// Prints the gzip size of each bundle and fails over its budget.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET_BYTES = {
  "thumbwheel.js": 7_000,
  "thumbwheel-elements.js": 20_000,
  "thumbwheel-label.js": 4_000,
  "thumbwheel-react.js": 1_000,
  "thumbwheel.iife.js": 20_000,
};

for (const [name, budget] of Object.entries(BUDGET_BYTES)) {
  const bytes = gzipSync(readFileSync(new URL(`dist/${name}`, import.meta.url)), { level: 9 }).length;
  const over = bytes > budget;
  process.stdout.write(`${name.padEnd(24)} ${String(bytes).padStart(6)} B gzip of ${budget}${over ? "  OVER BUDGET" : ""}\n`);
  if (over) process.exitCode = 1;
}
