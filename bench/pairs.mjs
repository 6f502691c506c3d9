import { spawnSync } from "node:child_process";

/** Runs a program under GNU time: wall and processor seconds, peak resident memory in MiB. Throws with its errors when it fails. */
export function timed(words, { cwd, stdout = "ignore" } = {}) {
  const start = process.hrtime.bigint();
  const run = spawnSync("/usr/bin/time", ["-f", "%U %S %M", ...words], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", stdout, "pipe"],
    maxBuffer: 2 ** 31,
  });
  const wall = Number(process.hrtime.bigint() - start) / 1e9;
  if (run.status !== 0) throw new Error(`${words.join(" ")} ended with ${run.status}: ${run.stderr}`);
  const [user, system, kib] = run.stderr.trim().split("\n").pop().split(" ").map(Number);
  return { wall, cpu: user + system, mib: kib / 1024, output: run.stdout };
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const spread = (values) => ({ median: median(values), min: Math.min(...values), max: Math.max(...values) });

/** A B A B, after both were warmed up; the ratio is taken pair by pair, because what else the machine does changes slowly. */
export async function alternate(ours, theirs, pairs) {
  const a = [];
  const b = [];
  for (let i = 0; i < pairs; i++) {
    a.push(await ours());
    b.push(await theirs());
  }
  return { ours: a, theirs: b, ratio: median(a.map((value, i) => value / b[i])) };
}
