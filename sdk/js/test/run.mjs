// Bundles test/*.test.ts into a temporary folder and runs them with Node's own test runner.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = mkdtempSync(join(tmpdir(), "thumbwheel-test-"));
const names = readdirSync(here).filter((name) => name.endsWith(".test.ts"));
await build({
  entryPoints: names.map((name) => join(here, name)),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "inline",
  define: { __VERSION__: '"test"' },
});
const files = names.map((name) => join(out, name.replace(/\.ts$/, ".mjs")));
const env = { ...process.env, THUMBWHEEL_CONFORMANCE: join(here, "..", "..", "conformance") };
const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], { stdio: "inherit", env });
rmSync(out, { recursive: true });
process.exit(run.status ?? 1);
