import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, defineConfig, type Plugin } from "vite";
import { headersFile, lockHeaders, metaPolicy } from "./scripts/lock-headers.mjs";
import { pageFiles } from "./scripts/page-files.mjs";

const root = import.meta.dirname;
const outDir = join(root, "dist/page");
const target = "es2023";
const jsx = { runtime: "automatic", importSource: "preact" } as const;

/** The policy inside the page, for a first visit to a host that cannot send headers. */
function lockPage(): Plugin {
  return {
    name: "spindle:lock-page",
    apply: "build",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: metaPolicy }, injectTo: "head-prepend" },
    ],
  };
}

/** One name for exactly these bytes: the service worker keeps each version of the page as a whole. */
function versionOf(files: readonly string[]): string {
  const hash = createHash("sha256").update(JSON.stringify(lockHeaders));
  for (const name of files) hash.update(`\0${name}\0`).update(readFileSync(join(outDir, name)));
  return hash.digest("hex").slice(0, 16);
}

/**
 * Builds src/sw.ts as `sw.js`, always under that name, once everything else is written. It is given
 * `__PRECACHE__: readonly string[]` (addresses relative to sw.js; the page itself is `./`, because hosts redirect
 * `index.html`), `__VERSION__: string` and `__LOCK_HEADERS__: Readonly<Record<string, string>>`.
 */
function serviceWorker(): Plugin {
  return {
    name: "spindle:service-worker",
    apply: "build",
    writeBundle: {
      order: "post",
      sequential: true,
      async handler() {
        const input = join(root, "src/sw.ts");
        if (!existsSync(input)) this.error("src/sw.ts is missing: the page would have no service worker");
        const files = pageFiles(outDir);
        writeFileSync(join(outDir, "_headers"), headersFile(files));
        await build({
          configFile: false,
          root,
          publicDir: false,
          logLevel: "warn",
          define: {
            __PRECACHE__: JSON.stringify(files.map((name) => (name === "index.html" ? "./" : name))),
            __VERSION__: JSON.stringify(versionOf(files)),
            __LOCK_HEADERS__: JSON.stringify(lockHeaders),
          },
          build: {
            outDir,
            emptyOutDir: false,
            target,
            modulePreload: false,
            rolldownOptions: { input, output: { format: "iife", entryFileNames: "sw.js" } },
          },
        });
      },
    },
  };
}

export default defineConfig({
  root,
  // Relative addresses: the same files work at the root of a host and in a folder of GitHub Pages.
  base: "./",
  oxc: { jsx },
  plugins: [lockPage(), serviceWorker()],
  build: { outDir, target, sourcemap: false, modulePreload: { polyfill: false } },
  worker: { format: "es" },
  // Not the built page, which Vite would find too; and its search for packages needs to be told of Preact by itself.
  optimizeDeps: { entries: ["index.html"], rolldownOptions: { transform: { jsx } } },
  // While developing, Vite's own client needs connections and inline styles, so the content policy is left out.
  server: { headers: Object.fromEntries(Object.entries(lockHeaders).filter(([name]) => name !== "Content-Security-Policy")) },
});
