/**
 * `node bench/kernels.mjs [--input=FILE] [--units=256] [--pairs=5]`: Spindle's kernels and what others take for the same work, on
 * 64 KiB units spread evenly over the bench image (bench/input.mjs makes it unless it is there), one thread, processor time. Needs
 * `npm run build:kernels`'s build/kernels.wasm, and a C compiler with zlib's and libdeflate's headers for these two rivals.
 *
 * Ours and theirs take turns after a warm-up. Ours counts the copy of every unit into the kernels' memory. All outputs are compared.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { createBLAKE3, createCRC32 } from "hash-wasm";
import { benchInput } from "./input.mjs";
import { median } from "./pairs.mjs";
import { givenOptions } from "./setting.mjs";

const UNIT = 65536;
const LARGE = 64 * 2 ** 20;
const TABLE = 8 * 2 ** 20;
const WINDOWS = [12, 15];
const MEMORY_PAGES = 1280;
const CRC32C = 0x82f63b78;
/** The parameter block of assembly/table-runs.ts, and how many entries src/kernels/table-scan.ts gives at a time. */
const ENTRIES = 4096;
const L2_MASK = 0x00ff_ffff_ffff_fe00n;

/** MB/s of processor time; `work` runs until 50 ms are over. */
function speed(bytes, work) {
  const start = process.cpuUsage();
  for (let runs = 1; ; runs++) {
    work();
    const { user, system } = process.cpuUsage(start);
    if (user + system >= 50_000) return (runs * bytes) / (user + system);
  }
}

function expectEqual(what, found, expected) {
  if (Buffer.compare(found, expected) !== 0) throw new Error(`${what}: the outputs differ`);
}

/** `count` units that are not all zero, from evenly spread places of the image. */
function sampleUnits(path, count) {
  const image = openSync(path, "r");
  const last = Math.floor(statSync(path).size / UNIT);
  const units = [];
  try {
    for (let i = 0; i < count; i++) {
      const limit = Math.floor(((i + 1) * last) / count);
      for (let at = Math.floor((i * last) / count); at < limit; at++) {
        const unit = Buffer.alloc(UNIT);
        readSync(image, unit, 0, UNIT, at * UNIT);
        if (unit.some((byte) => byte !== 0)) {
          units.push(unit);
          break;
        }
      }
    }
  } finally {
    closeSync(image);
  }
  if (units.length === 0) throw new Error(`${path} is all zero`);
  return units;
}

function startKernels() {
  const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
  const module = new WebAssembly.Module(readFileSync(new URL("../build/kernels.wasm", import.meta.url)));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const input = Math.ceil(exports.heapBase() / UNIT) * UNIT;
  return { kernels: exports, memory: new Uint8Array(memory.buffer), input, output: input + 4 * UNIT };
}

/** The program of rivals.c, or null where there is no compiler or no zlib; it says which rivals are missing. */
function compileRivals(folder) {
  const program = join(folder, "rivals");
  const compile = (...more) =>
    spawnSync("cc", ["-O3", "-std=c11", "-o", program, join(import.meta.dirname, "rivals.c"), ...more], { stdio: "ignore" }).status === 0;
  if (compile("-ldeflate", "-lz")) return program;
  const withoutLibdeflate = compile("-DNO_LIBDEFLATE", "-lz");
  console.error(
    `Missing (a C compiler and headers are needed): ${withoutLibdeflate ? "libdeflate" : "zlib, libdeflate, the speed of memory"}`,
  );
  return withoutLibdeflate ? program : null;
}

/** The streams of level 6 with a window, one for each unit: those that rivals.c wrote, or else Node's. */
function packedUnits(units, prefix, windowBits, program) {
  if (!program) return units.map((unit) => deflateRawSync(unit, { level: 6, windowBits, memLevel: 8 }));
  const file = readFileSync(`${prefix}.${windowBits}`);
  let at = units.length * 4;
  return units.map((_, i) => {
    const start = at;
    at += file.readUInt32LE(i * 4);
    return file.subarray(start, at);
  });
}

/** An L2 table of qcow2. `step`: how far the clusters of neighbouring entries lie apart, 0 for none. */
function l2Table(step) {
  const table = Buffer.alloc(TABLE);
  if (step === 0) return table;
  for (let i = 0; i < TABLE / 8; i++) table.writeBigUInt64BE((1n << 63n) | BigInt((1 + ((i * step) % (TABLE / 8))) * UNIT), i * 8);
  return table;
}

/** What the kernels do, as functions of the arena; each with the check of what it gives. */
function ownWork({ kernels, memory, input, output }, units) {
  const give = (bytes) => memory.set(bytes, input);
  const taken = (length) => memory.subarray(output, output + length);
  const deflate = (unit, windowBits, effort) => {
    give(unit);
    const length = kernels.deflate(input, UNIT, output, 2 * UNIT, 1 << windowBits, effort);
    if (length < 0) throw new Error(`deflate: ${length}`);
    return length;
  };
  const inflate = (packed) => {
    give(packed);
    const length = kernels.inflate(input, packed.length, output, UNIT);
    if (length !== UNIT) throw new Error(`inflate: ${length}`);
  };
  const firsts = output + ENTRIES;
  const positions = firsts + ENTRIES * 4;
  const parameters = positions + ENTRIES * 8;
  const view = new DataView(memory.buffer);
  const startTable = () => {
    memory.fill(0, parameters, parameters + 96);
    view.setBigUint64(parameters, L2_MASK, true);
    view.setBigUint64(parameters + 24, 1n, true); // reads as zeros
    view.setBigUint64(parameters + 32, 1n << 62n, true); // compressed
    view.setFloat64(parameters + 40, 1, true);
    view.setFloat64(parameters + 56, UNIT, true);
    view.setUint32(parameters + 64, 8, true);
    view.setUint32(parameters + 68, 1, true);
    view.setUint32(parameters + 92, 255, true);
  };
  /** Calls `onRuns` with how many runs begin in each part. */
  const tableRuns = (table, onRuns) => {
    startTable();
    for (let first = 0; first < TABLE / 8; first += ENTRIES) {
      memory.set(table.subarray(first * 8, (first + ENTRIES) * 8), input);
      onRuns(kernels.tableRuns(input, ENTRIES, first, parameters, output, firsts, positions));
    }
  };
  return {
    inflate: (streams) => streams.forEach(inflate),
    checkInflate: (streams) =>
      streams.forEach((stream, i) => {
        memory.fill(0x55, output, output + UNIT);
        inflate(stream);
        expectEqual("inflate", taken(UNIT), units[i]);
      }),
    /** The packed size. */
    deflate: (windowBits, effort) => units.reduce((sum, unit) => sum + deflate(unit, windowBits, effort), 0),
    checkDeflate: (windowBits, effort) => {
      for (const unit of units) expectEqual("deflate", inflateRawSync(taken(deflate(unit, windowBits, effort))), unit);
    },
    blake3: (unit) => {
      give(unit);
      kernels.blake3Digest(input, UNIT, output);
      return taken(32);
    },
    crc32c: (unit) => {
      give(unit);
      return kernels.crc32c(input, UNIT, 0) >>> 0;
    },
    zeroUnits: () => {
      if (kernels.zeroUnits(input, LARGE, UNIT, input + LARGE) !== LARGE / UNIT) throw new Error("zeroUnits: wrong count");
    },
    checkZeroUnits: () => {
      memory.fill(1, input, input + LARGE);
      memory.fill(0, input, input + LARGE);
      memory[input + 5 * UNIT - 1] = 1;
      kernels.zeroUnits(input, LARGE, UNIT, input + LARGE);
      const expected = new Uint8Array(LARGE / UNIT).fill(1);
      expected[4] = 0;
      expectEqual("zeroUnits", memory.subarray(input + LARGE, input + LARGE + LARGE / UNIT), expected);
      memory[input + 5 * UNIT - 1] = 0;
    },
    tableRuns,
    /** Every run starts where the entry before did not lead. */
    checkTableRuns: (table, step) => {
      if (step === 0) {
        let runs = 0;
        tableRuns(table, (count) => {
          runs += count;
        });
        if (runs !== 1) throw new Error(`tableRuns: ${runs} runs in an empty table`);
        return;
      }
      let expected = 0;
      let previous = -1;
      for (let i = 0; i < TABLE / 8; i++) {
        const cluster = 1 + ((i * step) % (TABLE / 8));
        if (cluster !== previous + 1) expected++;
        previous = cluster;
      }
      let found = 0;
      tableRuns(table, (runs) => {
        for (let i = 0; i < runs; i++) {
          const number = view.getUint32(firsts + i * 4, true);
          const position = view.getFloat64(positions + i * 8, true);
          if (memory[output + i] !== 2 || position !== (1 + ((number * step) % (TABLE / 8))) * UNIT)
            throw new Error(`tableRuns: run at ${number}`);
        }
        found += runs;
      });
      if (found !== expected) throw new Error(`tableRuns: ${found} runs, expected ${expected}`);
    },
  };
}

/**
 * The pairs to measure: `[name, rival, target, ours(), theirs(printed), size]`; `printed` is what rivals.c said, in the warm-up or in
 * the round, or null. All outputs are checked first.
 */
function contests(own, units, streams, hashes, printed) {
  const bytes = units.length * UNIT;
  const each = (work) => () => units.forEach(work);
  const from = (key) => (printed) => printed?.[key];
  const tables = [
    ["empty", 0],
    ["one run", 1],
    ["fragmented", 12_345],
  ].map(([name, step]) => ({ name, step, table: l2Table(step) }));
  for (const windowBits of WINDOWS) {
    own.checkInflate(streams[windowBits]);
    for (const effort of [0, 1]) own.checkDeflate(windowBits, effort);
  }
  for (const unit of units) {
    expectEqual("BLAKE3", own.blake3(unit), hashes.blake3.init().update(unit).digest("binary"));
    if (own.crc32c(unit) !== Number.parseInt(hashes.crc32c.init().update(unit).digest(), 16))
      throw new Error("CRC-32C: the outputs differ");
  }
  for (const { table, step } of tables) own.checkTableRuns(table, step);
  own.checkZeroUnits();

  const ofWindow = WINDOWS.flatMap((windowBits) => {
    const name = `window ${2 ** (windowBits - 10)} KiB`;
    const inflate = () => speed(bytes, () => own.inflate(streams[windowBits]));
    const deflate = (effort) => () => speed(bytes, () => own.deflate(windowBits, effort));
    const size = (effort, level, most) => {
      const theirs = printed?.[`zlib size ${level} ${windowBits}`];
      return theirs && `${(own.deflate(windowBits, effort) / theirs).toFixed(3)} × zlib ${level}'s bytes, to be ≤ ${most}`;
    };
    return [
      [`inflate, ${name}`, "zlib", 1.8, inflate, from(`zlib inflate ${windowBits}`)],
      [`inflate, ${name}`, "libdeflate", 0.95, inflate, from(`libdeflate inflate ${windowBits}`)],
      [`deflate fast, ${name}`, "zlib 6", 4, deflate(0), from(`zlib deflate 6 ${windowBits}`), size(0, 6, 1.02)],
      [`deflate small, ${name}`, "zlib 6", 1, deflate(1), from(`zlib deflate 6 ${windowBits}`), size(1, 9, 1)],
    ];
  });
  return [
    ...ofWindow,
    [
      "BLAKE3",
      "hash-wasm",
      1.5,
      () => speed(bytes, each(own.blake3)),
      () =>
        speed(
          bytes,
          each((unit) => void hashes.blake3.init().update(unit).digest("binary")),
        ),
    ],
    [
      "CRC-32C",
      "hash-wasm",
      2,
      () => speed(bytes, each(own.crc32c)),
      () =>
        speed(
          bytes,
          each((unit) => void hashes.crc32c.init().update(unit).digest()),
        ),
    ],
    ["zero scan", "reading memory", 0.8, () => speed(LARGE, own.zeroUnits), from(`memory read ${LARGE}`)],
    ...tables.map(({ name, table }) => [
      `table → runs, ${name}`,
      "reading memory",
      0.8,
      () => speed(TABLE, () => own.tableRuns(table, () => {})),
      from(`memory read ${TABLE}`),
    ]),
  ];
}

/**
 * One row for each kernel and rival: { name, unit: "MB/s", ours and theirs (one number for each pair; theirs is empty where the rival
 * is not there), rival, ratio (median of the pairs' ours / theirs, or null), target (the least ratio), size (of what deflate packs,
 * in words) }. `options`: input (path of the image, made if it is not there), units, pairs, folder to work in.
 */
export async function benchKernels({
  input = join(tmpdir(), "spindle-bench.raw"),
  units: count = 256,
  pairs = 5,
  folder: base = tmpdir(),
} = {}) {
  const folder = mkdtempSync(join(base, "spindle-kernels-"));
  try {
    const units = sampleUnits(benchInput(input), count);
    const plain = join(folder, "units.raw");
    const packed = join(folder, "packed");
    writeFileSync(plain, Buffer.concat(units));
    const program = compileRivals(folder);
    const askRivals = () => (program ? JSON.parse(execFileSync(program, [plain, packed], { encoding: "utf8" })) : null);
    const warmUp = askRivals();
    const streams = Object.fromEntries(WINDOWS.map((windowBits) => [windowBits, packedUnits(units, packed, windowBits, program)]));
    const hashes = { blake3: await createBLAKE3(), crc32c: await createCRC32(CRC32C) };
    const found = contests(ownWork(startKernels(), units), units, streams, hashes, warmUp);
    for (const [, , , ours] of found) ours();
    const rows = found.map(([name, rival, target, , , size]) => ({
      name,
      unit: "MB/s",
      ours: [],
      rival,
      theirs: [],
      ratio: null,
      target,
      size,
    }));
    for (let pair = 0; pair < pairs; pair++) {
      const printed = askRivals();
      found.forEach(([, , , ours, theirs], i) => {
        rows[i].ours.push(ours());
        const value = theirs(printed);
        if (value !== undefined) rows[i].theirs.push(value);
      });
    }
    return rows.map((row) => (row.theirs.length > 0 ? { ...row, ratio: median(row.theirs.map((value, i) => row.ours[i] / value)) } : row));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function printTable(rows) {
  const number = (value) => String(Math.round(value));
  const spread = (values) =>
    values.length > 0 ? `${number(median(values))} (${number(Math.min(...values))} to ${number(Math.max(...values))})` : "";
  const lines = rows.map(({ name, ours, rival, theirs, ratio, target, size }) => {
    const met = ratio === null ? "" : ratio >= target ? "yes" : "NO";
    return [name, spread(ours), rival, spread(theirs), ratio?.toFixed(3) ?? "", `≥ ${target}`, met, size ?? ""];
  });
  const heads = ["kernel, MB/s", "ours", "rival", "theirs", "ratio", "target", "met", ""];
  const widths = heads.map((head, i) => Math.max(head.length, ...lines.map((line) => line[i].length)));
  for (const line of [heads, ...lines])
    console.log(
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join("  ")
        .trimEnd(),
    );
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { units = 256, pairs = 5, ...rest } = givenOptions();
  printTable(await benchKernels({ units: Number(units), pairs: Number(pairs), ...rest }));
}
