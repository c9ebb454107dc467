import { svelte } from "@sveltejs/vite-plugin-svelte";
import react from "@vitejs/plugin-react";
import vue from "@vitejs/plugin-vue";
import { defineConfig, loadEnv } from "vite";

const PAGES = ["index.html", ...["html", "react", "vue", "svelte", "iframe"].map((name) => `${name}/index.html`), "iframe/frame.html"];
const isCustomElement = (tag: string): boolean => tag.startsWith("thumbwheel-");

export default defineConfig(({ mode, isPreview }) => {
  const { VITE_THUMBWHEEL_URL: url, VITE_THUMBWHEEL_KEY: key } = loadEnv(mode, ".");
  if (!isPreview && !(url && key)) {
    throw new Error("Set VITE_THUMBWHEEL_URL and VITE_THUMBWHEEL_KEY.\nhint: `make run` prints both; the key is the public one.");
  }
  return {
    plugins: [react(), vue({ template: { compilerOptions: { isCustomElement } } }), svelte({ configFile: false })],
    // The SDK is linked from this checkout; what it imports of React is this folder's.
    resolve: { dedupe: ["react"] },
    build: { rolldownOptions: { input: PAGES } },
    // A sandboxed frame has no origin: its module scripts are fetched across origins.
    preview: { port: 5173, cors: true },
  };
});
