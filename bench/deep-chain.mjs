/**
 * `node bench/deep-chain.mjs [--layers=40] [--extents=100000] [--spread=local|everywhere] [--keep]`: a deep qcow2 chain over 1 TiB, opened, mapped and
 * flattened by Spindle and by qemu-img, which also compares the results. Prints seconds and peak memory of each. Needs a build
 * (`npm run build`) and GNU time.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { makeDeepChain } from "../scripts/deep-chain.mjs";
import { timed } from "./pairs.mjs";

const given = Object.fromEntries(process.argv.slice(2).map((word) => word.replace(/^--/, "").split("=")));
const layers = Number(given.layers ?? 40);
const extents = Number(given.extents ?? 100_000);
const isLocal = (given.spread ?? "local") === "local";

const folder = mkdtempSync(join(tmpdir(), "deep-chain-"));
const spindle = [process.execPath, resolve(import.meta.dirname, "../dist/spindle.js")];

function print(what, words) {
  const { wall, mib, output } = timed(words, { cwd: folder, stdout: "pipe" });
  const lines = output.split("\n").length;
  console.log(`${what.padEnd(28)} ${wall.toFixed(2).padStart(7)} s  ${String(Math.round(mib)).padStart(5)} MiB  ${lines} lines`);
}

try {
  const top = makeDeepChain(folder, { layers, extents, isLocal });
  console.log(`${layers} layers, ${extents} extents, ${isLocal ? "in busy places" : "everywhere"}; ${process.version}`);
  if ("keep" in given) console.log(folder);
  print("node alone", [process.execPath, "-e", "0"]);
  for (let i = 0; i < 2; i++) {
    print("spindle map", [...spindle, "map", "--output=json", top]);
    print("qemu-img map", ["qemu-img", "map", "--output=json", top]);
  }
  print("spindle convert", [...spindle, "convert", "-O", "qcow2", "--no-verify", top, "ours.qcow2"]);
  print("qemu-img convert", ["qemu-img", "convert", "-O", "qcow2", top, "theirs.qcow2"]);
  print("qemu-img compare", ["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", top, "ours.qcow2"]);
} finally {
  if (!("keep" in given)) rmSync(folder, { recursive: true, force: true });
}
