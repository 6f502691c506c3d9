/**
 * Rows of the chains section: six layers of unequal sizes in the formats whose layers no program here writes, or writes in one size only,
 * made from the formats' descriptions, flattened to every written format. Readers that are not ours judge what was made.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { libvhdiFaults, sevenZipFaults } from "./chain-judges.mjs";
import { CHAINS, makeChain } from "./layer-images.mjs";
import { forEachOf } from "./report.mjs";
import { isFull, REPRESENTATIVES } from "./targets.mjs";
import { successFault } from "./verdicts.mjs";
import { driverOf, identicalFault, imageFaults } from "./written.mjs";

const KIB = 1024;

/** Layers from the base on: KiB of the disk, and what was written: byte, start and length in KiB; byte 0 is an explicit zero. */
const LAYERS = [
  { size: 5000.5, written: ["1 0 1100", "2 2000 900", "3 4996 4.5"] },
  { size: 6200, written: ["4 60 4", "0 2040 200", "5 6100 100"] },
  { size: 3400.5, written: ["0 0 1024", "6 2620 8", "7 3396 4.5"] },
  { size: 5800, written: ["8 3000 2000", "9 4 60"] },
  { size: 5800, written: [] },
  { size: 5400.5, written: ["10 8 56", "0 3072 1100", "11 5396 4.5"] },
];

/** Bytes that tell their place, so that data from elsewhere is no match. */
const stripes = (byte, start, length) =>
  Buffer.from(Uint16Array.from({ length: length / 2 }, (_, i) => (((start / 2 + i) * 31 + byte * 257) & 0xffff) | 1).buffer);

/** `sizeOf`: what becomes of a size; `lengthOf`: of what was written. */
const layersOf = (sizeOf, lengthOf) =>
  LAYERS.map(({ size, written }) => ({
    size: sizeOf(size) * KIB,
    writes: written.map((text) => {
      const [byte, start, stated] = text.split(" ").map(Number);
      const length = lengthOf(stated);
      const bytes = byte === 0 ? null : stripes(byte, start * KIB, length * KIB);
      return { start: start * KIB, length: length * KIB, bytes };
    }),
  }));
const same = (value) => value;
const UNEQUAL = layersOf(same, same);
/** As large as each other, in pieces of 4 KiB: libvhdi and 7-Zip read no layer past its parent's end, and libvhdi eight sectors as one. */
const EVEN = layersOf(
  () => 6200,
  (length) => Math.ceil(length / 4) * 4,
);

const FLATTENED = ["vmdk over flat", "COWD over flat", "seSparse over flat", "vpc", "vhdx", "vdi", "parallels"];
/** What the unit tests read as well, and QEMU writes: only that they are what QEMU takes them for. */
const JUDGED = ["qcow2", "qcow", "qed", "vmdk", "QEMU's formats over VMware's"];
/** Formats whose parents qemu-img follows. */
const QEMU_FOLLOWS = ["flat", "cowd", "sesparse", "vmdk", "qcow2", "qcow", "qed"];
/** One of each written format. */
const TARGETS = REPRESENTATIVES.filter((target, i) => REPRESENTATIVES.findIndex(({ format }) => format === target.format) === i);

export async function checkLayerFormats(context) {
  const { section, work } = context;
  await forEachOf([...FLATTENED, ...JUDGED].entries(), async ([i, name]) => {
    const folder = join(work, `layers-${i}`);
    mkdirSync(folder);
    try {
      const chain = makeChain(CHAINS[name], UNEQUAL);
      save(chain, folder);
      await judgeLayers(context, name, chain, folder);
      // The unit tests flatten every chain to every format; here half of the pairs are judged by programs that are not ours.
      const targets = TARGETS.filter((_, t) => FLATTENED.includes(name) && (isFull || (t + i) % 2 === 0));
      for (const target of targets)
        await section.row(`${name}, unequal: flattened to ${target.format}`, () => flattenedFaults(context, chain, target, folder));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/** The chain, and beside it what its layers show. */
function save({ files, shown }, folder) {
  for (const { name, bytes } of files) writeFileSync(join(folder, name), bytes);
  for (const [i, bytes] of shown.entries()) writeFileSync(join(folder, `shown-${i}.raw`), bytes);
}

async function flattenedFaults(context, { points, shown }, target, folder) {
  const out = join(folder, target.format);
  mkdirSync(out);
  const result = await context.spindle(["convert", ...target.words, join("..", points.at(-1).name), target.file], { cwd: out });
  if (result.code !== 0) return successFault(result);
  const expected = join(folder, `shown-${shown.length - 1}.raw`);
  // Who else reads what was written is asked in the matrix; here it is about the chain.
  if (isFull) return imageFaults(context, target, target.file, expected, out);
  const driver = driverOf(target);
  if (driver !== null) return identicalFault(context.qemuImg, ["-f", driver, "-F", "raw", target.file, expected], out);
  return successFault(await context.spindle(["compare", target.file, expected], { cwd: out }));
}

/** That the layers are what other readers take them for. */
async function judgeLayers(context, name, chain, folder) {
  const { section, judges, qemuImg, python } = context;
  const { points, files } = chain;
  if (CHAINS[name].every((format) => QEMU_FOLLOWS.includes(format)))
    await section.row(`${name}, unequal: qemu-img sees the model at every layer`, async () => {
      const faults = [];
      for (const [i, point] of points.entries())
        faults.push(await identicalFault(qemuImg, ["-F", "raw", point.name, `shown-${i}.raw`], folder));
      return faults;
    });
  if (name === "parallels")
    await section.row("parallels, unequal: qemu-img reads each image of the bundle", async () => {
      const faults = [await identicalFault(qemuImg, ["-f", "parallels", "-F", "raw", files[0].name, "shown-0.raw"], folder)];
      for (const { name: image } of files.filter(({ name }) => name.endsWith(".hds"))) {
        const { code, stdout, stderr } = await qemuImg.run(["check", "-f", "parallels", image], { cwd: folder });
        if (code !== 0) faults.push(`qemu-img check ${image}: ${stdout}${stderr}`);
      }
      return faults;
    });
  if (name === "vdi")
    await section.row("vdi, unequal: qemu-img sees the model in the base", () =>
      identicalFault(qemuImg, ["-f", "vdi", "-F", "raw", files[0].name, "shown-0.raw"], folder),
    );
  if (name !== "vpc" && name !== "vhdx") return;
  const even = makeChain(CHAINS[name], EVEN);
  const place = join(folder, "even");
  mkdirSync(place);
  save(even, place);
  const names = even.points.map((point) => point.name);
  // libvhdi takes VHDX's explicit zeros from the parent; 7-Zip follows the chain and reads them right.
  if (python !== null && name === "vpc")
    await section.row("vpc: libvhdi sees the model in layers that hold parts of blocks", () =>
      libvhdiFaults(python, names, even.shown, place),
    );
  if (judges["7zz"] !== null)
    await section.row(`${name}: 7-Zip sees the model in layers that hold parts of blocks`, () =>
      sevenZipFaults(judges["7zz"], names.at(-1), even.shown.at(-1), place),
    );
}
