// Builds dist/ from src/. `node build.mjs --check` builds beside it and fails when dist/ is not what the sources give.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

// The bundles beside the elements import the elements' own, and one of them React: a page has one of each.
const besideElements = {
  name: "beside-elements",
  setup({ onResolve }) {
    onResolve({ filter: /^react$/ }, ({ path }) => ({ path, external: true }));
    onResolve({ filter: /^\.\.?\/elements\.js$/ }, () => ({ path: "./thumbwheel-elements.js", external: true }));
  },
};

const BUNDLES = [
  { entry: "index.ts", out: "thumbwheel.js", format: "esm" },
  { entry: "elements.ts", out: "thumbwheel-elements.js", format: "esm" },
  { entry: "label.ts", out: "thumbwheel-label.js", format: "esm", plugins: [besideElements] },
  { entry: "react.ts", out: "thumbwheel-react.js", format: "esm", banner: '"use client";', plugins: [besideElements] },
  { entry: "iife.ts", out: "thumbwheel.iife.js", format: "iife", globalName: "Thumbwheel" },
];

async function buildInto(folder) {
  for (const { entry, out, format, globalName, banner, plugins } of BUNDLES) {
    await build({
      absWorkingDir: root,
      entryPoints: [join("src", entry)],
      outfile: join(folder, out),
      bundle: true,
      minify: true,
      format,
      globalName,
      plugins,
      banner: { js: banner ?? "" },
      target: "es2020",
      charset: "utf8",
      legalComments: "none",
      define: { __VERSION__: JSON.stringify(version) },
      logLevel: "warning",
    });
  }
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const types = spawnSync(process.execPath, [tsc, "--emitDeclarationOnly", "--outDir", join(folder, "types")], {
    cwd: root,
    stdio: "inherit",
  });
  if (types.status !== 0) process.exit(1);
}

function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile())
    .map((item) => relative(folder, join(item.parentPath ?? item.path, item.name)))
    .sort();
}

function differences(built, kept) {
  const names = new Set([...filesIn(built), ...filesIn(kept)]);
  return [...names].filter((name) => {
    try {
      return !readFileSync(join(built, name)).equals(readFileSync(join(kept, name)));
    } catch {
      return true;
    }
  });
}

const dist = join(root, "dist");
if (process.argv.includes("--check")) {
  const fresh = mkdtempSync(join(tmpdir(), "thumbwheel-dist-"));
  await buildInto(fresh);
  const stale = differences(fresh, dist);
  rmSync(fresh, { recursive: true });
  if (stale.length) {
    console.error(`dist/ is not what the sources build: ${stale.join(", ")}\nhint: npm run build, then commit dist/`);
    process.exit(1);
  }
  process.stdout.write("dist/ is what the sources build\n");
} else {
  rmSync(dist, { recursive: true, force: true });
  await buildInto(dist);
}
