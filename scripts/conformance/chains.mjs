/**
 * Section "chains": six layers of unequal sizes, with zeros over data and parts of blocks, in every chain format that can be made here and in
 * mixtures, flattened to every written format. A naive model says what each layer shows.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pythonWith } from "../executables.mjs";
import { libvhdiFaults, sevenZipFaults } from "./chain-judges.mjs";
import { checkChainVerbs } from "./chain-verbs.mjs";
import { checkLayerFormats } from "./layer-formats.mjs";
import { forEachOf } from "./report.mjs";
import { isFull, REPRESENTATIVES } from "./targets.mjs";
import { successFault } from "./verdicts.mjs";
import { identicalFault, imageFaults } from "./written.mjs";

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Layers from the base on: virtual size, and what was written, as [byte, start, length] in KiB; byte 0 is an explicit zero.
 * A smaller layer hides what its parent has behind its end, for good.
 */
const LAYERS = [
  [
    40 * MIB,
    [
      [1, 0, 6 * KIB],
      [2, 20 * KIB, 9 * KIB],
      [3, 39 * KIB, KIB],
    ],
  ],
  [
    48 * MIB,
    [
      [4, 2 * KIB, 4],
      [0, 21 * KIB, 2 * KIB],
      [5, 47 * KIB, 512],
    ],
  ],
  [
    30 * MIB,
    [
      [0, 0, KIB],
      [6, 20 * KIB + 60, 8],
    ],
  ],
  [
    44 * MIB,
    [
      [7, 35 * KIB, 64],
      [8, 29 * KIB, 2 * KIB],
    ],
  ],
  [44 * MIB, []],
  [
    42 * MIB + 64 * KIB,
    [
      [9, 4, 60],
      [0, 36 * KIB - 4, 8],
      [10, 42 * KIB, 64],
    ],
  ],
];
const EVEN = LAYERS.map(([, writes]) => [48 * MIB, writes]);

/** What each layer shows. */
function model(layers) {
  const shown = [];
  for (const [size, writes] of layers) {
    const disk = Buffer.alloc(size);
    shown.at(-1)?.copy(disk, 0, 0, size);
    for (const [byte, start, length] of writes) disk.fill(byte, start * KIB, (start + length) * KIB);
    shown.push(disk);
  }
  return shown;
}

/** Which program makes a layer of the format; the delta writers of `spindle` are judged by other readers in the matrix and here. */
const BY_QEMU = ["qcow2", "qcow", "qed", "vmdk", "raw"];
const BY_SPINDLE = ["vpc", "vhdx", "vdi"];
const extensionOf = (format) => ({ vpc: "vhd" })[format] ?? format;

/** `formats` from the base on. qcow and VMDK store zeros as data; a VMDK, VHD, VHDX and VDI layer is as large as its parent. */
const KINDS = {
  qcow2: { formats: Array(6).fill("qcow2"), layers: LAYERS },
  "qcow2 over raw": { formats: ["raw", ...Array(5).fill("qcow2")], layers: LAYERS },
  qcow: { formats: Array(6).fill("qcow"), layers: LAYERS },
  qed: { formats: Array(6).fill("qed"), layers: LAYERS },
  vmdk: { formats: Array(6).fill("vmdk"), layers: EVEN },
  vpc: { formats: Array(6).fill("vpc"), layers: EVEN },
  vhdx: { formats: Array(6).fill("vhdx"), layers: EVEN },
  vdi: { formats: Array(6).fill("vdi"), layers: EVEN },
  "qed and qcow2 over VMDK layers": {
    formats: ["vmdk", "vmdk", "qed", "qcow2", "qed", "qcow2"],
    layers: [...EVEN.slice(0, 2), ...LAYERS.slice(2)],
  },
  "QEMU's formats over a VHDX": { formats: ["vhdx", "qcow2", "qcow", "qcow2", "qed", "qcow2"], layers: [EVEN[0], ...LAYERS.slice(1)] },
  "QEMU's formats over a VDI": { formats: ["vdi", "qed", "qcow2", "qcow2", "qcow", "qed"], layers: [EVEN[0], ...LAYERS.slice(1)] },
};
/** Chains that qemu-img follows to the base. */
const QEMU_FOLLOWS = Object.keys(KINDS).filter((name) => !BY_SPINDLE.includes(name));

export async function checkChains(section, context) {
  const { judges, work } = context;
  const lacking = ["qemu-img", "qemu-io"].find((name) => judges[name] === null);
  if (lacking !== undefined) {
    section.skip("all chains", `${lacking} is not installed, which makes the layers`);
    return;
  }
  const python = await pythonWith("pyvhdi");
  if (python === null) section.skip("judge libvhdi", "not installed");
  if (judges["7zz"] === null) section.skip("judge 7-Zip", "not installed");
  await checkChainVerbs({ ...context, section });
  await checkLayerFormats({ ...context, section, qemuImg: judges["qemu-img"], python });
  await forEachOf([...Object.entries(KINDS).entries()], async ([i, [name, kind]]) => {
    if (!section.wants(name)) return;
    const folder = join(work, `chain-${i}`);
    mkdirSync(folder, { recursive: true });
    try {
      await checkKind({ ...context, section, qemuImg: judges["qemu-img"], python }, i, name, kind, folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

async function checkKind(context, number, name, { formats, layers }, folder) {
  const { section, spindle, qemuImg, python } = context;
  const shown = model(layers);
  const files = [];
  for (const [i, format] of formats.entries()) files.push(await makeLayer(context, { format, level: i, files, layers, shown, folder }));
  const top = files.at(-1);
  const expected = join(folder, "expected.raw");
  writeFileSync(expected, shown.at(-1));
  if (QEMU_FOLLOWS.includes(name))
    await section.row(`${name}: the model is what qemu-img sees`, () =>
      identicalFault(qemuImg, ["-f", formats.at(-1), "-F", "raw", top, expected], folder),
    );
  if (name === "vpc" && python !== null)
    await section.row(`${name}: libvhdi sees the model at every layer`, () => libvhdiFaults(python, files, shown, folder));
  // libvhdi takes VHDX's explicit zeros from the parent; 7-Zip follows the chain and reads them right.
  if (["vhdx", "vpc"].includes(name) && context.judges["7zz"] !== null)
    await section.row(`${name}: 7-Zip sees the model`, () => sevenZipFaults(context.judges["7zz"], top, shown.at(-1), folder));
  // Every layer is a point in time.
  for (const [i, file] of files.entries())
    await section.row(`${name}: layer ${i + 1} of ${files.length}`, async () => {
      const result = await spindle(["convert", "-O", "raw", file, `layer-${i}.raw`], { cwd: folder });
      if (result.code !== 0) return successFault(result);
      return readFileSync(join(folder, `layer-${i}.raw`)).equals(shown[i]) ? "" : "shows other bytes than the model";
    });
  await section.row(`${name}: map names the owner of every piece`, () => ownerFaults(spindle, top, { layers, shown, files, folder }));
  const chosen = REPRESENTATIVES.filter((_, i) => isFull || (i + number) % 8 === 0);
  for (const [i, target] of chosen.entries())
    await section.row(`${name} flattened to ${target.name.replace(/ of \w+$/, "")}`, async () => {
      const out = join(folder, `out-${i}`);
      mkdirSync(out);
      const result = await spindle(["convert", ...target.words, join("..", top), target.file], { cwd: out });
      const faults = result.code === 0 ? await imageFaults(context, target, target.file, expected, out) : [successFault(result)];
      rmSync(out, { recursive: true, force: true });
      return faults;
    });
  await section.row(`${name}: kept as a chain of qcow2`, async () => {
    const result = await spindle(["convert", "--keep-chain", "-O", "qcow2", top, "kept.qcow2"], { cwd: folder });
    if (result.code !== 0) return successFault(result);
    return identicalFault(qemuImg, ["-f", "qcow2", "-F", "raw", "kept.qcow2", expected], folder);
  });
}

async function makeLayer({ judges, spindle }, { format, level, files, layers, shown, folder }) {
  const [size, writes] = layers[level];
  const name = `layer${level}.${extensionOf(format)}`;
  const run = { cwd: folder };
  const parent = files.at(-1);
  if (BY_SPINDLE.includes(format)) {
    writeFileSync(join(folder, "now.raw"), shown[level]);
    const base = parent === undefined ? [] : ["-B", parent];
    const result = await spindle(["convert", "-O", format, ...base, "now.raw", name], run);
    if (result.code !== 0) throw new Error(successFault(result));
    return name;
  }
  if (!BY_QEMU.includes(format)) throw new Error(`nothing makes a layer of ${format}`);
  const parentFormat = parent && { vhd: "vpc" }[parent.split(".").pop()];
  const base = parent === undefined ? [] : ["-b", parent, "-F", parentFormat ?? parent.split(".").pop()];
  // A VMDK layer takes its size from its parent.
  const stated = format === "vmdk" && parent !== undefined ? [] : [String(size)];
  await judges["qemu-img"].must(["create", "-q", "-f", format, ...base, name, ...stated], run);
  const words = writes.flatMap(([byte, start, length]) => {
    const stores = format === "qcow" || format === "vmdk" || format === "raw";
    const how = byte === 0 && !stores ? "-z" : `-P ${byte}`;
    return ["-c", `write ${how} ${start}k ${length}k`];
  });
  if (words.length > 0) await judges["qemu-io"].must(["-f", format, ...words, name], run);
  return name;
}

/** The newest layer that wrote a place must own it, down to a block that it shares with older data; a place nobody wrote is nobody's or zero. */
async function ownerFaults(spindle, top, { layers, shown, files, folder }) {
  const result = await spindle(["map", "--output=json", top], { cwd: folder });
  if (result.code !== 0) return successFault(result);
  const entries = JSON.parse(result.stdout);
  const faults = [];
  let at = 0;
  for (const { start, length } of entries) {
    if (start !== at) faults.push(`the map has a gap at ${at}`);
    at = start + length;
  }
  for (const [i, [, writes]] of layers.entries())
    for (const [byte, start] of writes) {
      const place = start * KIB;
      // Zeros over zeros are no difference, and a layer that was made from differences does not hold them.
      if (byte === 0 && i > 0 && (shown[i - 1][place] ?? 0) === 0) continue;
      const newer = layers.slice(i + 1).some(([size, others]) => size <= place || others.some(([, s, l]) => covers(s, l, place)));
      if (newer || place >= layers.at(-1)[0]) continue;
      const entry = entries.find((one) => one.start <= place && one.start + one.length > place);
      const owner = files[files.length - 1 - entry.depth];
      // Of a raw base nobody but the file system knows what was written; where a larger block was copied up, its layer owns all of it.
      if (entry.depth > files.length - 1 - i) faults.push(`${place} was written in ${files[i]}, the map says ${owner}`);
      if (entry.present && entry.file !== owner) faults.push(`${place} lies in ${entry.file}, of layer ${owner}`);
    }
  return faults;
}

/** Whether a write covers the block of up to 2 MiB around a place, which a layer may own as a whole. */
const covers = (start, length, place) => {
  const block = 2 * MIB;
  return start * KIB < (Math.floor(place / block) + 1) * block && (start + length) * KIB > Math.floor(place / block) * block;
};
