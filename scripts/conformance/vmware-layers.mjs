/**
 * Layers as VMware's products lay them out. Hosted sparse extents and COWD: "Virtual Disk Format 5.0"; seSparse: what qemu's
 * block/vmdk.c says of it. Nothing that runs here writes COWD and seSparse; qemu-img reads both.
 */
import { FileBytes } from "./file-bytes.mjs";

const SECTOR = 512;
const up = (value, step) => Math.ceil(value / step) * step;
/** Content ids from the level on, none of them "no parent". */
const cid = (level) => (0x0badca00 + level).toString(16).padStart(8, "0");

function descriptor({ level, parent }, createType, extentLine) {
  const link = parent === null ? ["parentCID=ffffffff"] : [`parentCID=${cid(level - 1)}`, `parentFileNameHint="${parent.name}"`];
  return Buffer.from(
    [
      ...["# Disk DescriptorFile", "version=1", `CID=${cid(level)}`, ...link, `createType="${createType}"`, ""],
      ...["# Extent description", extentLine, "", "# The Disk Data Base", "#DDB", ""],
      ...['ddb.adapterType = "lsilogic"', 'ddb.virtualHWVersion = "8"', ""],
    ].join("\n"),
  );
}

/** A small descriptor beside the extent that has the data. */
function described(layer, createType, type, bytes, more = "") {
  const extent = layer.name.replace(/\.vmdk$/, `-${createType.toLowerCase()}.vmdk`);
  const line = `RW ${layer.size / SECTOR} ${type} "${extent}"${more}`;
  return [
    { name: layer.name, bytes: descriptor(layer, createType, line) },
    { name: extent, bytes },
  ];
}

/** monolithicSparse with zeroed grains, without a redundant directory. */
function vmdk(layer) {
  const { name, size, unitsOf } = layer;
  const file = new FileBytes("LE");
  const [grain, entries] = [8 * SECTOR, 512];
  const tables = Math.ceil(size / grain / entries);
  const directory = 32;
  const tablesAt = directory + up(tables * 4, SECTOR) / SECTOR;
  let next = up(tablesAt + tables * 4, 8);
  file.u32(0, 0x564d444b, 2, 5);
  file.u64(12, size / SECTOR, 8, 1, 20);
  file.u32(44, entries);
  file.u64(48, 0, directory, next);
  file.put(73, [0x0a, 0x20, 0x0d, 0x0a]);
  file.put(SECTOR, descriptor(layer, "monolithicSparse", `RW ${size / SECTOR} SPARSE "${name}"`));
  for (let i = 0; i < tables; i++) file.u32(directory * SECTOR + i * 4, tablesAt + i * 4);
  file.grow(next * SECTOR);
  for (const { index, bytes } of unitsOf(grain, true)) {
    file.u32(tablesAt * SECTOR + index * 4, bytes === null ? 1 : next);
    if (bytes === null) continue;
    file.put(next * SECTOR, bytes);
    next += 8;
  }
  return [{ name, bytes: file.bytes }];
}

/** ESX's redo log: grains of one sector or of 4 KiB, no zeroed grains; a table lies before the first grain that it leads to. */
function cowd(layer) {
  const { size, level, unitsOf } = layer;
  const file = new FileBytes("LE");
  const grainSectors = level % 2 === 0 ? 1 : 8;
  const entries = 4096;
  const tables = Math.ceil(size / (grainSectors * SECTOR) / entries);
  const tableAt = [];
  let next = 4 + up(tables * 4, SECTOR) / SECTOR;
  file.grow(next * SECTOR);
  for (const { index, bytes } of unitsOf(grainSectors * SECTOR, false)) {
    const table = Math.floor(index / entries);
    if (tableAt[table] === undefined) {
      tableAt[table] = next;
      file.u32(4 * SECTOR + table * 4, next);
      next += (entries * 4) / SECTOR;
    }
    file.u32(tableAt[table] * SECTOR + (index % entries) * 4, next);
    file.put(next * SECTOR, bytes);
    next += grainSectors;
  }
  file.u32(0, 0x44574f43, 1, 3, size / SECTOR, grainSectors, 4, tables, next);
  file.grow(next * SECTOR);
  return described(layer, "vmfsSparse", "VMFSSPARSE", file.bytes);
}

/** Grains of 4 KiB in a region of their own, in the opposite order of the disk; zeros are zero and unmapped grains in turn. */
function sesparse(layer) {
  const { size, unitsOf } = layer;
  const file = new FileBytes("LE");
  const [grain, entries] = [8 * SECTOR, 4096];
  const grains = Math.ceil(size / grain);
  const tables = Math.ceil(grains / entries);
  // Volatile header, journal header, journal, directory, tables, free bitmap, back map: place and length of each.
  const lengths = [1, 2, 16, up(tables * 8, SECTOR) / SECTOR, tables * 64, up(Math.ceil(grains / 8), SECTOR) / SECTOR, tables * 64];
  const regions = [];
  let at = 1;
  for (const length of lengths) {
    regions.push(at, length);
    at = up(at + length, 8);
  }
  const [directoryAt, tablesAt] = [regions[6] * SECTOR, regions[8] * SECTOR];
  file.u64(0, 0xcafebabe, 0x200000001, size / SECTOR, 8, 64, 0);
  file.u64(80, ...regions, at, grains * 8);
  file.u64(SECTOR, 0xcafecafe);
  file.grow(at * SECTOR);
  // The tables' numbers are turned, too.
  for (let i = 0; i < tables; i++) file.u64(directoryAt + i * 8, (1n << 60n) | BigInt(tables - 1 - i));
  let next = 0;
  for (const { index, bytes } of unitsOf(grain, true).reverse()) {
    const table = tables - 1 - Math.floor(index / entries);
    const entryAt = tablesAt + (table * entries + (index % entries)) * 8;
    if (bytes === null) file.u64(entryAt, index % 2 === 0 ? 2n << 60n : (1n << 60n) | 5n);
    else {
      file.u64(entryAt, (3n << 60n) | (BigInt(next & 0xfff) << 48n) | BigInt(next >> 12));
      file.put(at * SECTOR + next++ * grain, bytes);
    }
  }
  return described(layer, "seSparse", "SESPARSE", file.bytes);
}

/** What a snapshot of a preallocated disk lies over. */
const flat = (layer) => described(layer, "monolithicFlat", "FLAT", layer.shown, " 0");

export const VMWARE_LAYERS = { vmdk, cowd, sesparse, flat };
