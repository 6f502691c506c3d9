/**
 * `node bench/deep-chain.mjs [--layers=40] [--extents=100000] [--spread=local|everywhere] [--keep]`: a deep qcow2 chain over 1 TiB, opened, mapped and
 * flattened by Spindle and by qemu-img, which also compares the results. Prints seconds and peak memory of each. Needs a build
 * (`npm run build`) and GNU time.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { makeDeepChain } from "../scripts/deep-chain.mjs";

const given = Object.fromEntries(process.argv.slice(2).map((word) => word.replace(/^--/, "").split("=")));
const layers = Number(given.layers ?? 40);
const extents = Number(given.extents ?? 100_000);
const isLocal = (given.spread ?? "local") === "local";

const folder = mkdtempSync(join(tmpdir(), "deep-chain-"));
const spindle = [process.execPath, resolve(import.meta.dirname, "../dist/spindle.js")];

/** Runs a program under GNU time; the last line of its errors is what that prints. */
function timed(words) {
  const { status, stdout, stderr } = spawnSync("/usr/bin/time", ["-f", "%e %M", ...words], {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  if (status !== 0) throw new Error(`${words.join(" ")} ended with ${status}: ${stderr}`);
  const [seconds, kib] = stderr.trim().split("\n").pop().split(" ").map(Number);
  return { seconds, mib: Math.round(kib / 1024), lines: stdout.split("\n").length };
}
const print = (what, { seconds, mib, lines }) =>
  console.log(`${what.padEnd(28)} ${seconds.toFixed(2).padStart(7)} s  ${String(mib).padStart(5)} MiB  ${lines} lines`);

try {
  const top = makeDeepChain(folder, { layers, extents, isLocal });
  console.log(`${layers} layers, ${extents} extents, ${isLocal ? "in busy places" : "everywhere"}; ${process.version}`);
  if ("keep" in given) console.log(folder);
  print("node alone", timed([process.execPath, "-e", "0"]));
  for (let i = 0; i < 2; i++) {
    print("spindle map", timed([...spindle, "map", "--output=json", top]));
    print("qemu-img map", timed(["qemu-img", "map", "--output=json", top]));
  }
  print("spindle convert", timed([...spindle, "convert", "-O", "qcow2", "--no-verify", top, "ours.qcow2"]));
  print("qemu-img convert", timed(["qemu-img", "convert", "-O", "qcow2", top, "theirs.qcow2"]));
  print("qemu-img compare", timed(["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", top, "ours.qcow2"]));
} finally {
  if (!("keep" in given)) rmSync(folder, { recursive: true, force: true });
}
