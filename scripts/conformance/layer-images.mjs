/**
 * Chains of layers in every format that has them, and what each layer shows: made from the formats' descriptions, without any of the
 * program's own code, so that the conformance run and the unit tests can hold its readers against them.
 */
import { BEHIND_THE_END, isZero } from "./file-bytes.mjs";
import { bundleDescriptor, MACHINE_LAYERS, shotOf } from "./machine-layers.mjs";
import { QEMU_LAYERS } from "./qemu-layers.mjs";
import { VMWARE_LAYERS } from "./vmware-layers.mjs";

const SECTOR = 512;
const MAKERS = { ...QEMU_LAYERS, ...VMWARE_LAYERS, ...MACHINE_LAYERS };
const EXTENSIONS = { vpc: "vhd", cowd: "vmdk", sesparse: "vmdk", flat: "vmdk", parallels: "hds" };
const BUNDLE = "DiskDescriptor.xml";

const over = (formats, top) => [...formats, ...Array(6 - formats.length).fill(top)];
/** The formats of six layers, from the base on. */
export const CHAINS = {
  qcow2: over([], "qcow2"),
  qcow: over([], "qcow"),
  qed: over([], "qed"),
  vmdk: over([], "vmdk"),
  "vmdk over flat": over(["flat"], "vmdk"),
  "COWD over flat": over(["flat"], "cowd"),
  "seSparse over flat": over(["flat"], "sesparse"),
  vpc: over([], "vpc"),
  vhdx: over([], "vhdx"),
  vdi: over([], "vdi"),
  parallels: over([], "parallels"),
  "QEMU's formats over VMware's": ["flat", "cowd", "sesparse", "vmdk", "qcow2", "qed"],
  "QEMU's formats over VHDs": ["vpc", "vpc", "qed", "qcow", "qcow2", "qed"],
  "QEMU's formats over a bundle": ["parallels", "parallels", "parallels", "qcow2", "qed", "qcow2"],
};

/** What each layer shows: what the one below shows, cut or lengthened with zeros to this one's size, and what was written over it. */
export function shownBy(layers) {
  const shown = [];
  for (const { size, writes } of layers) {
    const disk = Buffer.alloc(size);
    shown.at(-1)?.copy(disk, 0, 0, size);
    for (const { start, length, bytes } of writes) {
      if (bytes === null) disk.fill(0, start, start + length);
      else disk.set(bytes, start);
    }
    shown.push(disk);
  }
  return shown;
}

/** Layers of a bundle are as large as its disk, which has only one size. */
function evened(formats, layers) {
  const size = layers[0].size;
  const evenedOne = (layer) => ({
    size,
    writes: layer.writes.flatMap(({ start, length, bytes }) => {
      const inside = Math.min(length, size - start);
      return inside <= 0 ? [] : [{ start, length: inside, bytes: bytes?.subarray(0, inside) ?? null }];
    }),
  });
  return layers.map((layer, i) => (formats[i] === "parallels" ? evenedOne(layer) : layer));
}

/**
 * The files of a chain. `layers` (from the base on): size and writes, all of whole sectors; `points[i]`: the file to open for what layer i
 * shows, and the snapshot in it; `shown[i]`: its bytes.
 */
export function makeChain(formats, given) {
  const layers = evened(formats, given);
  const shown = shownBy(layers);
  const files = [];
  const points = [];
  let bundled = [];
  for (const [level, { size, writes }] of layers.entries()) {
    const format = formats[level];
    const name = `layer${level}.${EXTENSIONS[format] ?? format}`;
    const parent = level === 0 ? null : { name: points[level - 1].name, format: driverOf(formats[level - 1]) };
    const isTouched = touchedBy(size, writes);
    const unitsOf = (unit, hasZeros) => units(shown[level], isTouched, unit, hasZeros);
    files.push(...MAKERS[format]({ name, size, level, parent, shown: shown[level], isTouched, unitsOf }));
    if (format !== "parallels") points.push({ name });
    else {
      bundled = [...bundled, name];
      points.push({ name: BUNDLE, snapshot: shotOf(level) });
    }
  }
  if (bundled.length > 0) files.push({ name: BUNDLE, bytes: bundleDescriptor(layers[0].size, bundled) });
  return { files, points, shown, layers };
}

/** What QEMU calls it. */
const driverOf = (format) => (["cowd", "sesparse", "flat"].includes(format) ? "vmdk" : format);

/** 1 for every sector that was written. */
function touchedBy(size, writes) {
  const sectors = new Uint8Array(size / SECTOR);
  for (const { start, length } of writes) sectors.fill(1, start / SECTOR, (start + length) / SECTOR);
  return sectors;
}

/** Units in which something was written, ascending, with all that they show (as copying on write leaves them); null: zeros. */
function units(shown, isTouched, unit, hasZeros) {
  const out = [];
  for (let index = 0; index * unit < shown.length; index++) {
    const [start, end] = [index * unit, Math.min((index + 1) * unit, shown.length)];
    if (!isTouched.subarray(start / SECTOR, Math.ceil(end / SECTOR)).includes(1)) continue;
    const inside = shown.subarray(start, end);
    const isExplicit = hasZeros && isZero(inside);
    out.push({ index, bytes: isExplicit ? null : Buffer.concat([inside, Buffer.alloc(unit - inside.length, BEHIND_THE_END)]) });
  }
  return out;
}
