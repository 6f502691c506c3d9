import { build } from "vite";

/** Builds the bench page into a folder. */
export const buildBenchPage = (outDir) =>
  build({
    configFile: false,
    root: import.meta.dirname,
    base: "./",
    logLevel: "warn",
    build: { outDir, emptyOutDir: true, target: "es2023", modulePreload: { polyfill: false } },
    worker: { format: "es" },
  });
