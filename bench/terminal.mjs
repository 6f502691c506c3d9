/**
 * `node bench/terminal.mjs [--pairs=5] [--folder=DIR] [--input=FILE] [--row=TEXT]`: whole conversions by the terminal program and by qemu-img, alternately,
 * wall time. Every output of either is compared with the source by qemu-img. DIR should be in memory (/dev/shm), so that no drive is
 * measured; it needs about 8 GiB. Needs a build, qemu-img and GNU time.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { alternate, spread, timed } from "./pairs.mjs";
import { benchFolder, givenOptions, readyInput } from "./setting.mjs";

const spindle = [process.execPath, resolve(import.meta.dirname, "../dist/spindle.js"), "convert"];
const QCOW2_DEFLATE = ["-O", "qcow2", "-c"];
const QCOW2_ZSTD = ["-O", "qcow2", "-c", "-o", "compression_type=zstd"];
const STREAM = ["-O", "vmdk", "-o", "subformat=streamOptimized"];
const VMDK = ["-O", "vmdk"];

/** `words` are the same for both programs; `target` is the ratio of issue and plan, `sizes`: whether the output's size is compared too. */
const ROWS = [
  { name: "raw → VMDK streamOptimized", from: "raw", words: STREAM, target: 0.4, sizes: true },
  { name: "raw → qcow2 deflate", from: "raw", words: QCOW2_DEFLATE, target: 0.5, sizes: true },
  { name: "raw → qcow2 zstd", from: "raw", words: QCOW2_ZSTD, target: 1, sizes: true },
  { name: "qcow2 deflate → raw", from: "deflate", words: ["-O", "raw"], target: 0.9 },
  { name: "VMDK streamOptimized → raw", from: "stream", words: ["-O", "raw"], target: 0.9 },
  { name: "qcow2 deflate → VMDK streamOptimized", from: "deflate", words: STREAM, target: 0.4, sizes: true },
  { name: "raw → qcow2", from: "raw", words: ["-O", "qcow2"], target: 2 },
  { name: "qcow2 → raw", from: "qcow2", words: ["-O", "raw"], target: 2 },
  { name: "VMDK → qcow2", from: "vmdk", words: ["-O", "qcow2"], target: 2 },
  { name: "raw → qcow2, read back and compared", from: "raw", words: ["-O", "qcow2"], verify: true },
];

const SOURCES = {
  raw: { format: "raw" },
  qcow2: { format: "qcow2", words: ["-O", "qcow2"] },
  deflate: { format: "qcow2", words: QCOW2_DEFLATE },
  vmdk: { format: "vmdk", words: VMDK },
  stream: { format: "vmdk", words: STREAM },
};

function must(words) {
  const { status, stderr } = spawnSync(words[0], words.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${words.join(" ")} ended with ${status}: ${stderr}`);
}

/** qemu-img's writes out of order and more requests at once help with some formats and hurt others: what is faster here is its best. */
function bestFlags(run) {
  const variants = [[], ["-W", "-m", "16"]];
  const seconds = variants.map(run);
  return variants[seconds[0] <= seconds[1] ? 0 : 1];
}

export async function benchTerminal({ pairs = 5, folder, input, row = "" }) {
  const work = join(folder, `terminal-${process.pid}`);
  mkdirSync(work, { recursive: true });
  const made = new Map([["raw", input]]);
  const sourceOf = (id) => {
    if (!made.has(id)) {
      const path = join(work, `source-${id}`);
      must(["qemu-img", "convert", "-f", "raw", ...SOURCES[id].words, input, path]);
      made.set(id, path);
    }
    return made.get(id);
  };
  const output = join(work, "output");
  const results = [];
  try {
    for (const { name, from, words, target, sizes = false, verify = false } of ROWS.filter((each) => each.name.includes(row))) {
      const source = sourceOf(from);
      const { format } = SOURCES[from];
      const bytes = { ours: 0, theirs: 0 };
      const costs = { ours: [], theirs: [] };
      const run = (who, command) => {
        rmSync(output, { force: true });
        const cost = timed(command);
        bytes[who] = statSync(output).size;
        costs[who].push(cost);
        must(["qemu-img", "compare", "-f", "raw", "-F", words[1], input, output]);
        return cost.wall;
      };
      const theirs = (flags) => run("theirs", ["qemu-img", "convert", ...flags, "-f", format, ...words, source, output]);
      const ours = () => run("ours", [...spindle, ...(verify ? [] : ["--no-verify"]), "-f", format, ...words, source, output]);
      const flags = bestFlags(theirs); // which warms it up
      ours();
      const measured = await alternate(ours, () => theirs(flags), pairs);
      const cost = (who, key) => spread(costs[who].slice(-pairs).map((each) => each[key])).median;
      results.push({
        name,
        target,
        flags,
        ours: measured.ours,
        theirs: measured.theirs,
        ratio: measured.ratio,
        cpu: { ours: cost("ours", "cpu"), theirs: cost("theirs", "cpu") },
        mib: { ours: cost("ours", "mib"), theirs: cost("theirs", "mib") },
        sizeRatio: sizes ? bytes.ours / bytes.theirs : null,
      });
      print(results.at(-1));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return results;
}

const text = ({ median, min, max }) => `${median.toFixed(2)} s (${min.toFixed(2)}–${max.toFixed(2)})`;

function print({ name, target, flags, ours, theirs, ratio, mib, sizeRatio }) {
  const size = sizeRatio === null ? "" : `  size ${((sizeRatio - 1) * 100).toFixed(1)} %`;
  const aim = target === undefined ? "" : ` of ≤ ${target}`;
  console.log(
    `${name.padEnd(50)} ${text(spread(ours))}  qemu-img ${flags.join(" ")} ${text(spread(theirs))}  ratio ${ratio.toFixed(2)}${aim}  ${mib.ours.toFixed(0)} MiB${size}`,
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const given = givenOptions();
  const folder = benchFolder(given);
  await benchTerminal({ pairs: Number(given.pairs ?? 5), folder, input: readyInput(given, folder), row: given.row });
}
