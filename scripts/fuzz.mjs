/**
 * Changes valid images at random and opens them with every reader: nothing but clear errors may come of it, in bounded time and memory.
 * `npm run fuzz [-- --minutes=10 --seed=1 --processes=2]`. Failed files are kept in build/fuzz/failures.
 */
import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { build } from "vite";
import { buildKernels } from "./build.mjs";
import { widenPath } from "./executables.mjs";

/** A case that has said nothing for so long will not end. */
const SILENCE = 60_000;

const { values: given } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    processes: { type: "string", default: "2" },
  },
});
const root = join(import.meta.dirname, "..");
const folder = join(root, "build/fuzz");
const failures = join(folder, "failures");
widenPath();
if ((await buildKernels()).code !== 0) throw new Error("the kernels could not be built");
rmSync(failures, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
await build({
  root,
  configFile: false,
  logLevel: "warn",
  publicDir: false,
  ssr: { noExternal: true },
  build: {
    ssr: true,
    outDir: folder,
    emptyOutDir: false,
    target: "node20",
    rolldownOptions: {
      input: { run: join(root, "src/testing/fuzz/run.ts") },
      output: { format: "es", entryFileNames: "run.js", codeSplitting: false },
    },
  },
});

const runs = Array.from({ length: Number(given.processes) }, (_, i) => run(Number(given.seed) + i));
const results = await Promise.all(runs);
for (const { seed, last } of results) console.log(`seed ${seed}: ${last}`);
const faults = results.flatMap(({ faults }) => faults);
for (const fault of faults) console.log(fault.slice(0, 1500));
console.log(faults.length === 0 ? "fuzz: clean" : `fuzz: ${faults.length} faults; the files are in ${failures}`);
process.exitCode = faults.length === 0 ? 0 : 1;

/** One process to its end; what it found, and the case that it died or hung in. */
function run(seed) {
  return new Promise((resolve) => {
    const words = ["--max-old-space-size=700", join(folder, "run.js"), seed, Number(given.minutes) * 60, failures];
    const child = spawn(process.execPath, words.map(String), { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    const faults = [];
    let last = "nothing";
    let timer;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => child.kill("SIGKILL"), SILENCE);
    };
    watch();
    createInterface({ input: child.stdout }).on("line", (line) => {
      watch();
      if (line.startsWith("failed")) faults.push(line);
      else last = line;
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (!last.startsWith("done")) faults.push(`seed ${seed} ended with ${signal ?? code} in ${last}`);
      resolve({ seed, last, faults });
    });
  });
}
