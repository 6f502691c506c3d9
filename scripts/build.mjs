import { pathToFileURL } from "node:url";
import { runNode } from "./child.mjs";

const vite = "node_modules/vite/bin/vite.js";
const quiet = ["--logLevel", "warn"];

const steps = [
  ["the kernels", "scripts/build-kernels.mjs", []],
  ["the page", vite, ["build", ...quiet]],
  ["the terminal program", vite, ["build", "--config", "vite.cli.config.ts", ...quiet]],
  ["the terminal program's worker", vite, ["build", "--config", "vite.cli.config.ts", "--mode", "block-worker", ...quiet]],
];

/** Only what type checking and unit tests import. */
export const buildKernels = () => runNode("scripts/build-kernels.mjs");

/** Kernels, dist/page, dist/spindle.js. Resolves to the names of the parts that could not be built. */
export async function build() {
  const failed = [];
  for (const [name, file, args] of steps) {
    const { code } = await runNode(file, args);
    if (code !== 0) failed.push(name);
  }
  return failed;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const failed = await build();
  for (const name of failed) console.error(`Building ${name} failed.`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
