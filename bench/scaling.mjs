/**
 * `node bench/scaling.mjs [--folder=DIR] [--input=FILE]`: how conversions would scale to more cores than this machine has. One conversion is profiled
 * on the real program: processor seconds of the main thread and of the block workers, per order of 8 MiB. A simulation of the pool (credits
 * of two orders a worker, results taken in order, writes behind) then runs with 1 to 16 workers, each thread on a core of its own.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { benchFolder, givenOptions, readyInput } from "./setting.mjs";

const program = resolve(import.meta.dirname, "../dist/spindle.js");
const ORDER_BYTES = 8 << 20;
const CREDITS_PER_WORKER = 2;
const WORKERS = [1, 2, 4, 5, 8, 16];
/** What a thread of Node does while nothing is to be done, by the profiler's names. */
const WAITING = ["(idle)", "(program)"];
const ROWS = [
  { name: "raw → qcow2", words: ["-O", "qcow2"] },
  { name: "raw → qcow2 deflate", words: ["-O", "qcow2", "-c"] },
  { name: "raw → VMDK streamOptimized", words: ["-O", "vmdk", "-o", "subformat=streamOptimized"] },
];

/** Busy seconds of each thread, the main thread first. */
function profile(words, work) {
  const profiles = join(work, "profiles");
  rmSync(profiles, { recursive: true, force: true });
  // One core for each thread would be ideal; on one core threads would wait for each other and waiting would count as work.
  execFileSync(process.execPath, [
    "--cpu-prof",
    `--cpu-prof-dir=${profiles}`,
    program,
    "convert",
    "--no-verify",
    ...words,
    join(work, "output"),
  ]);
  return readdirSync(profiles)
    .sort((a, b) => threadOf(a) - threadOf(b))
    .map((name) => busySeconds(JSON.parse(readFileSync(join(profiles, name), "utf8"))));
}

const threadOf = (name) => Number(name.split(".")[4]);

function busySeconds({ nodes, samples, timeDeltas }) {
  const waiting = new Set(nodes.filter(({ callFrame }) => WAITING.includes(callFrame.functionName)).map(({ id }) => id));
  return samples.reduce((sum, id, i) => sum + (waiting.has(id) ? 0 : timeDeltas[i]), 0) / 1e6;
}

/** Seconds for so many orders: a worker needs `work` for one, the main thread `merge`, in order; the rest waits for credits. */
export function simulate({ orders, work, merge, workers }) {
  const free = new Float64Array(workers);
  const done = new Float64Array(orders);
  let main = 0;
  for (let i = 0; i < orders; i++) {
    const window = workers * CREDITS_PER_WORKER;
    const issued = i < window ? 0 : done[i - window];
    const worker = free.indexOf(Math.min(...free));
    free[worker] = Math.max(free[worker], issued) + work;
    main = Math.max(main, free[worker]) + merge;
    done[i] = main;
  }
  return main;
}

export function benchScaling({ folder, input }) {
  const work = join(folder, `scaling-${process.pid}`);
  mkdirSync(work, { recursive: true });
  try {
    return ROWS.map(({ name, words }) => {
      const [main, ...workers] = profile(["-f", "raw", ...words, input], work);
      const orders = Math.ceil((2 * 2 ** 30) / ORDER_BYTES);
      const perOrder = { work: workers.reduce((sum, each) => sum + each, 0) / orders, merge: main / orders };
      const one = simulate({ orders, ...perOrder, workers: 1 });
      const speedups = WORKERS.map((count) => ({ workers: count, speedup: one / simulate({ orders, ...perOrder, workers: count }) }));
      const limit = (perOrder.work + perOrder.merge) / perOrder.merge;
      console.log(
        `${name}: worker ${(perOrder.work * 1e3).toFixed(1)} ms, main thread ${(perOrder.merge * 1e3).toFixed(2)} ms an order; ${speedups.map(({ workers: n, speedup }) => `${n}: ${speedup.toFixed(1)} ×`).join("  ")}; the main thread alone allows ${limit.toFixed(0)} ×`,
      );
      return { name, ...perOrder, speedups, limit };
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const given = givenOptions();
  const folder = benchFolder(given);
  benchScaling({ folder, input: readyInput(given, folder) });
}
