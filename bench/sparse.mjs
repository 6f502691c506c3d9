/**
 * Does the work follow the data, not the virtual size? The same 1 GiB of data, once in a disk of 2 GiB and once scattered over 1 TiB
 * (both qcow2), is converted by the terminal program, alternately, in 64 KiB pieces.
 * `node bench/sparse.mjs [PAIRS] [FOLDER]`; needs a build and qemu-img with qemu-io. Prints median times and their ratio.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "./pairs.mjs";

const [pairs = "5", base = tmpdir()] = process.argv.slice(2);
const folder = join(base, `spindle-sparse-${process.pid}`);
const program = join(import.meta.dirname, "../dist/spindle.js");
const PIECE = 64 * 1024;
const PIECES = 16_384;
const DISKS = { "2 GiB": 2 * 2 ** 30, "1 TiB": 2 ** 40 };

/** One qcow2 whose pieces, each filled with one byte value, lie evenly over the whole disk. */
function makeDisk(name, size) {
  const path = join(folder, `${name.replace(" ", "")}.qcow2`);
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", path, String(size)]);
  const step = Math.floor(size / PIECES / PIECE) * PIECE;
  const commands = Array.from({ length: PIECES }, (_, i) => `write -q -P ${(i % 255) + 1} ${i * step} ${PIECE}`).join("\n");
  execFileSync("qemu-io", ["-f", "qcow2", path], { input: commands, stdio: ["pipe", "ignore", "inherit"] });
  return path;
}

function convert(source, format) {
  const target = join(folder, `out.${format}`);
  const start = process.hrtime.bigint();
  const { status, stderr } = spawnSync(process.execPath, [program, "convert", "-O", format, source, target]);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (status !== 0) throw new Error(String(stderr));
  rmSync(target);
  return seconds;
}

mkdirSync(folder, { recursive: true });
try {
  const sources = Object.entries(DISKS).map(([name, size]) => makeDisk(name, size));
  for (const format of ["qcow2", "vmdk", "vdi", "raw"]) {
    for (const source of sources) convert(source, format);
    const times = Array.from({ length: Number(pairs) }, () => sources.map((source) => convert(source, format)));
    const [small, large] = [0, 1].map((i) => median(times.map((pair) => pair[i])));
    const ratio = median(times.map(([a, b]) => b / a));
    console.log(
      `to ${format.padEnd(5)}  2 GiB ${small.toFixed(2)} s   1 TiB ${large.toFixed(2)} s   ratio ${ratio.toFixed(2)} (median of ${pairs} pairs)`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
