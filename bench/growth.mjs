/**
 * `node bench/growth.mjs [--runs=3] [--folder=DIR] [--input=FILE]`: does the work follow the data? Megabytes a second of allocated data for disks of 1, 2, 4 and 8 GiB;
 * `info` and `map` of a qcow2 of 1 TiB in a million extents; peak memory from 2 GiB to 64 TiB of virtual size; one processor core against
 * two. Needs a build, qemu-img, GNU time and taskset.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { makeFragmented } from "./fragmented.mjs";
import { spread, timed } from "./pairs.mjs";
import { benchFolder, givenOptions, readyInput } from "./setting.mjs";

const spindle = [process.execPath, resolve(import.meta.dirname, "../dist/spindle.js")];
const TARGETS = {
  qcow2: ["-O", "qcow2"],
  "qcow2 deflate": ["-O", "qcow2", "-c"],
  "qcow2 zstd": ["-O", "qcow2", "-c", "-o", "compression_type=zstd"],
  "VMDK streamOptimized": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
};

function must(...words) {
  const { status, stderr } = spawnSync(words[0], words.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${words.join(" ")} ended with ${status}: ${stderr}`);
}

const allocated = (path) => statSync(path).blocks * 512;

/** A disk of so many GiB: copies of the input one behind the other, or its beginning. */
function resized(input, gib, path) {
  rmSync(path, { force: true });
  for (let at = 0; at < gib; at += 2)
    must(
      "dd",
      `if=${input}`,
      `of=${path}`,
      "bs=16M",
      `count=${Math.min(2, gib - at) * 64}`,
      `seek=${at * 64}`,
      "conv=sparse,notrunc",
      "status=none",
    );
  must("truncate", "-s", `${gib}G`, path);
  return path;
}

export async function benchGrowth({ runs = 3, folder, input }) {
  const work = join(folder, `growth-${process.pid}`);
  mkdirSync(work, { recursive: true });
  const output = join(work, "output");
  const convert = (source, format, words, before = []) => {
    rmSync(output, { force: true });
    return timed([...before, ...spindle, "convert", "--no-verify", "-f", format, ...words, source, output]);
  };
  const repeat = (run) => {
    run();
    return Array.from({ length: runs }, run);
  };
  const result = { sizes: [], fragmented: null, memory: [], cores: [] };
  try {
    for (const target of ["qcow2", "qcow2 deflate"])
      for (const gib of [1, 2, 4, 8]) {
        const source = resized(input, gib, join(work, "disk.raw"));
        const data = allocated(source);
        const { median } = spread(repeat(() => convert(source, "raw", TARGETS[target]).wall));
        result.sizes.push({ target, gib, seconds: median, rate: data / median / 1e6 });
        console.log(`${target}, ${gib} GiB: ${median.toFixed(2)} s, ${(data / median / 1e6).toFixed(0)} MB/s of allocated data`);
      }
    rmSync(join(work, "disk.raw"), { force: true });

    const fragmented = makeFragmented(join(work, "fragmented.qcow2"));
    const [info, map, rival] = [
      [...spindle, "info", "-f", "qcow2", fragmented],
      [...spindle, "map", "-f", "qcow2", "--output=json", fragmented],
      ["qemu-img", "map", "-f", "qcow2", "--output=json", fragmented],
    ].map((words) => repeat(() => timed(words)));
    result.fragmented = {
      info: spread(info.map(({ wall }) => wall)),
      map: spread(map.map(({ wall }) => wall)),
      rival: spread(rival.map(({ wall }) => wall)),
      mib: Math.max(...map.map(({ mib }) => mib)),
    };
    console.log(
      `1 TiB in 1,048,576 extents: info ${result.fragmented.info.median.toFixed(2)} s, map ${result.fragmented.map.median.toFixed(2)} s, ${result.fragmented.mib.toFixed(0)} MiB; qemu-img map ${result.fragmented.rival.median.toFixed(2)} s`,
    );
    rmSync(fragmented);

    const base = join(work, "grown.qcow2");
    must("qemu-img", "convert", "-f", "raw", "-O", "qcow2", input, base);
    for (const size of ["2G", "1T", "64T"]) {
      must("qemu-img", "resize", "-q", "-f", "qcow2", base, size);
      for (const target of ["qcow2", "qcow2 deflate"]) {
        const { mib, wall } = convert(base, "qcow2", TARGETS[target]);
        result.memory.push({ size, target, mib, wall });
        console.log(`2 GiB of disk in ${size}, to ${target}: ${mib.toFixed(0)} MiB, ${wall.toFixed(2)} s`);
      }
    }
    for (const [target, words] of Object.entries(TARGETS).slice(1)) {
      const one = spread(repeat(() => convert(input, "raw", words, ["taskset", "-c", "0"]).wall)).median;
      const two = spread(repeat(() => convert(input, "raw", words, ["taskset", "-c", "0,1"]).wall)).median;
      result.cores.push({ target, one, two });
      console.log(`raw → ${target}: one core ${one.toFixed(2)} s, two ${two.toFixed(2)} s: ${(one / two).toFixed(2)} ×`);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return result;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const given = givenOptions();
  const folder = benchFolder(given);
  await benchGrowth({ runs: Number(given.runs ?? 3), folder, input: readyInput(given, folder) });
}
