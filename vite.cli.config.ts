import { chmodSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const root = import.meta.dirname;
const outDir = join(root, "dist");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string };

/** Each is built by itself, so that each is one file without chunks beside it; the worker must lie next to the program. */
const programs = {
  spindle: "src/cli/main.ts",
  "block-worker": "src/platform/node/block-worker.ts",
};

/** `#!` and the right to be run. */
function executable(fileName: string): Plugin {
  return {
    name: "spindle:executable",
    generateBundle(_options, bundle) {
      const chunk = bundle[fileName];
      if (chunk?.type === "chunk" && !chunk.code.startsWith("#!")) chunk.code = `#!/usr/bin/env node\n${chunk.code}`;
    },
    writeBundle() {
      chmodSync(join(outDir, fileName), 0o755);
    },
  };
}

/** `vite build -c vite.cli.config.ts` builds the program; with `--mode block-worker` its worker. */
export default defineConfig(({ mode }) => {
  const name = mode === "block-worker" ? "block-worker" : "spindle";
  const input = join(root, programs[name]);
  if (!existsSync(input)) throw new Error(`${programs[name]} is missing: dist/${name}.js cannot be built`);
  const entryFileNames = `${name}.js`;
  return {
    root,
    publicDir: false,
    define: { __VERSION__: JSON.stringify(version) },
    plugins: name === "spindle" ? [executable(entryFileNames)] : [],
    ssr: { noExternal: true },
    build: {
      ssr: true,
      outDir,
      // The page lies in the same folder.
      emptyOutDir: false,
      target: "node20",
      rolldownOptions: { input: { [name]: input }, output: { format: "es", entryFileNames, codeSplitting: false } },
    },
  };
});
