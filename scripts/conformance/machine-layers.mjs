/**
 * Layers as Hyper-V, VirtualBox and Parallels Desktop lay them out, which do not run here: [MS-VHD], [MS-VHDX], VirtualBox's VDICore.h,
 * qemu's docs/interop/parallels.rst and prl-xml.rst.
 */
import { BEHIND_THE_END, FileBytes, isZero } from "./file-bytes.mjs";

const SECTOR = 512;
const KIB = 1024;
const MIB = 1024 * KIB;
const up = (value, step) => Math.ceil(value / step) * step;

/** The id of a layer, and that of its data's state. */
const idBytes = (level, kind = 0) => Buffer.from([1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, kind, level]);
/** As Microsoft writes it: the first three groups are little-endian numbers. */
const guidText = (bytes) => {
  const hex = (list) => Buffer.from(list).toString("hex");
  const [a, b, c] = [bytes.subarray(0, 4), bytes.subarray(4, 6), bytes.subarray(6, 8)].map((part) => hex([...part].reverse()));
  return `${a}-${b}-${c}-${hex(bytes.subarray(8, 10))}-${hex(bytes.subarray(10))}`;
};

/** Blocks of the disk in which something was written. */
function touchedBlocks({ isTouched }, blockBytes) {
  const per = blockBytes / SECTOR;
  return Array.from({ length: Math.ceil(isTouched.length / per) }, (_, block) => block).filter((block) =>
    isTouched.subarray(block * per, (block + 1) * per).includes(1),
  );
}

/**
 * Differencing: of each block only the sectors that were written, as its bitmap says; between them lies what must not be seen.
 * Dynamic: whole blocks, because few readers ask the bitmap of such an image.
 */
function vpc(layer) {
  const { name, size, level, parent, shown, isTouched } = layer;
  const file = new FileBytes("BE");
  // The usual ones, which libvhdi wants; a small disk has several blocks too.
  const block = size > 4 * MIB ? 2 * MIB : 128 * KIB;
  const entries = Math.ceil(size / block);
  const sum = (at, length) => {
    let total = 0;
    for (const byte of file.part(at, length)) total += byte;
    return ~total >>> 0;
  };
  const locatorAt = 1536 + up(entries * 4, SECTOR);
  let next = locatorAt;
  if (parent !== null) {
    const path = Buffer.from(`.\\${parent.name}`, "utf16le");
    file.put(next, path);
    file.text(512 + 576, "W2ru");
    file.u32(512 + 580, SECTOR, path.length, 0);
    file.u64(512 + 592, next);
    file.put(512 + 40, idBytes(level - 1));
    file.put(512 + 64, Buffer.from(parent.name, "utf16le").swap16());
    next += SECTOR;
  }
  file.grow(next);
  file.put(1536, Buffer.alloc(up(entries * 4, SECTOR), 0xff));
  for (const index of touchedBlocks(layer, block)) {
    file.u32(1536 + index * 4, next / SECTOR);
    file.put(next + SECTOR, Buffer.alloc(block, BEHIND_THE_END));
    const sectors = Math.min(block, size - index * block) / SECTOR;
    for (let i = 0; i < sectors; i++) {
      const at = index * block + i * SECTOR;
      if (parent !== null && isTouched[at / SECTOR] !== 1) continue;
      file.part(next, SECTOR)[i >> 3] |= 0x80 >> (i & 7);
      file.put(next + SECTOR + i * SECTOR, shown.subarray(at, at + SECTOR));
    }
    next += SECTOR + block;
  }
  file.text(512, "cxsparse");
  file.u64(520, 0xffff_ffff_ffff_ffffn, 1536);
  file.u32(536, 0x10000, entries, block);
  file.u32(548, sum(512, 1024));
  file.text(0, "conectix");
  file.u32(8, 2, 0x10000);
  file.u64(16, 512);
  file.text(28, "win \0\x0a\0\0Wi2k");
  file.u64(40, size, size);
  const cylinders = Math.floor(size / SECTOR / (4 * 17));
  file.put(56, [cylinders >> 8, cylinders & 0xff, 4, 17]);
  file.u32(60, parent === null ? 3 : 4);
  file.put(68, idBytes(level));
  file.u32(64, sum(0, SECTOR));
  file.put(next, Buffer.from(file.part(0, SECTOR)));
  return [{ name, bytes: file.bytes }];
}

const CASTAGNOLI = Uint32Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});
function crc32c(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CASTAGNOLI[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

const guid = (text) => {
  const [a, b, c, ...rest] = text.split("-").map((group) => Buffer.from(group, "hex"));
  return Buffer.concat([a.reverse(), b.reverse(), c.reverse(), ...rest]);
};
const METADATA_ITEMS = {
  fileParameters: "caa16737-fa36-4d43-b3b6-33f0aa44e76b",
  size: "2fa54224-cd1b-4876-b211-5dbed83bf4b8",
  id: "beca12ab-b2e6-4523-93ef-c309e000c746",
  logicalSector: "8141bf1d-a96f-4709-ba47-f233a8faab5f",
  physicalSector: "cda348c7-445d-4471-9cc9-e9885251c556",
  parentLocator: "a8d35f2d-b30b-454d-abf7-d3d84834ab0c",
};

function locator(keys) {
  const pairs = Object.entries(keys).map((pair) => pair.map((text) => Buffer.from(text, "utf16le")));
  const head = Buffer.alloc(20 + pairs.length * 12);
  head.set(guid("b04aefb7-d19e-4a81-b789-25b8e9445913"));
  head.writeUInt16LE(pairs.length, 18);
  let at = head.length;
  for (const [i, [key, value]] of pairs.entries()) {
    head.writeUInt32LE(at, 20 + i * 12);
    head.writeUInt32LE(at + key.length, 24 + i * 12);
    head.writeUInt16LE(key.length, 28 + i * 12);
    head.writeUInt16LE(value.length, 30 + i * 12);
    at += key.length + value.length;
  }
  return Buffer.concat([head, ...pairs.flat()]);
}

/** Blocks of 1 MiB: whole, in part with their sector bitmap, or zero where all of one was written and is. [MS-VHDX] 2.2 to 2.6 */
function vhdx(layer) {
  const { name, size, level, parent, shown, isTouched } = layer;
  const [block, ratio] = [MIB, 4096];
  const blocks = touchedBlocks(layer, block);
  const file = new FileBytes("LE", (5 + blocks.length) * MIB);
  const [metadataAt, tableAt] = [2 * MIB, 3 * MIB];
  let next = 4 * MIB;
  file.grow(next);
  file.text(0, "vhdxfile");
  const bitmapAt = parent === null ? null : next;
  if (bitmapAt !== null) {
    next += MIB;
    file.grow(next);
    file.u64(tableAt + ratio * 8, bitmapAt + 6);
  }
  for (const index of blocks) {
    const sectors = Math.min(block, size - index * block) / SECTOR;
    const first = (index * block) / SECTOR;
    const isWhole = !isTouched.subarray(first, first + sectors).includes(0);
    const bytes = shown.subarray(index * block, index * block + sectors * SECTOR);
    if (isWhole && isZero(bytes)) {
      file.u64(tableAt + index * 8, 2);
      continue;
    }
    file.u64(tableAt + index * 8, next + (isWhole || bitmapAt === null ? 6 : 7));
    file.put(next, bytes);
    if (bitmapAt !== null)
      for (let i = 0; i < sectors; i++) {
        if (isTouched[first + i] === 1) file.part(bitmapAt, MIB)[(first + i) >> 3] |= 1 << (i & 7);
        // What only the parent holds must not be seen here.
        else file.put(next + i * SECTOR, Buffer.alloc(SECTOR, BEHIND_THE_END));
      }
    next += MIB;
    file.grow(next);
  }
  const number = (value, bytes) => {
    const out = Buffer.alloc(bytes);
    out.writeUIntLE(value, 0, Math.min(6, bytes));
    return out;
  };
  const link = parent === null ? null : { parent_linkage: `{${guidText(idBytes(level - 1, 2))}}`, relative_path: `.\\${parent.name}` };
  const items = {
    fileParameters: Buffer.concat([number(block, 4), number(link === null ? 0 : 2, 4)]),
    size: number(size, 8),
    id: idBytes(0, 3),
    logicalSector: number(SECTOR, 4),
    physicalSector: number(SECTOR, 4),
    ...(link === null ? {} : { parentLocator: locator(link) }),
  };
  file.text(metadataAt, "metadata");
  file.put(metadataAt + 10, [Object.keys(items).length]);
  let at = 64 * KIB;
  for (const [i, [item, content]] of Object.entries(items).entries()) {
    const entry = metadataAt + 32 + i * 32;
    file.put(entry, guid(METADATA_ITEMS[item]));
    file.u32(entry + 16, at, content.length, item === "fileParameters" || item === "parentLocator" ? 4 : 6);
    file.put(metadataAt + at, content);
    at += up(content.length, 8);
  }
  for (const [i, place] of [64 * KIB, 128 * KIB].entries()) {
    file.text(place, "head");
    file.u64(place + 8, i + 1);
    file.put(place + 16, idBytes(level, 1));
    file.put(place + 32, idBytes(level, 2));
    file.put(place + 66, [1]);
    file.u32(place + 68, MIB);
    file.u64(place + 72, MIB);
    file.u32(place + 4, crc32c(file.part(place, 4 * KIB)));
  }
  for (const place of [192 * KIB, 256 * KIB]) {
    file.text(place, "regi");
    file.u32(place + 8, 2);
    for (const [i, [id, where]] of [
      ["2dc27766-f623-4200-9d64-115e9bfd4a08", tableAt],
      ["8b7ca206-4790-4b9a-b8fe-575f050f886e", metadataAt],
    ].entries()) {
      file.put(place + 16 + i * 32, guid(id));
      file.u64(place + 32 + i * 32, where);
      file.u32(place + 40 + i * 32, MIB, 1);
    }
    file.u32(place + 4, crc32c(file.part(place, 64 * KIB)));
  }
  return [{ name, bytes: file.bytes }];
}

/**
 * A block map with free and zero blocks; the parent is known by its id alone, and by that of its state. Only the base has the usual
 * blocks, for the sake of readers that know no others.
 */
function vdi(layer) {
  const { name, size, level, parent, unitsOf } = layer;
  const file = new FileBytes("LE");
  const block = parent === null ? MIB : 64 * KIB;
  const blocks = Math.ceil(size / block);
  const dataAt = up(512 + blocks * 4, SECTOR);
  file.grow(dataAt);
  file.put(512, Buffer.alloc(blocks * 4, 0xff));
  let used = 0;
  for (const { index, bytes } of unitsOf(block, true).reverse()) {
    file.u32(512 + index * 4, bytes === null ? 0xfffffffe : used);
    if (bytes !== null) file.put(dataAt + used++ * block, bytes);
  }
  file.text(0, "<<< Oracle VM VirtualBox Disk Image >>>\n");
  file.u32(64, 0xbeda107f, 0x10001, 400, parent === null ? 1 : 4);
  file.u32(340, 512, dataAt, 0, 0, 0, SECTOR, 0);
  file.u64(368, size);
  file.u32(376, block, 0, blocks, used);
  file.put(392, idBytes(level));
  file.put(408, idBytes(level, 1));
  if (parent !== null) {
    file.put(424, idBytes(level - 1));
    file.put(440, idBytes(level - 1, 1));
  }
  return [{ name, bytes: file.bytes }];
}

const PARALLELS_BLOCK = 8 * KIB;
/** One image of a bundle, with either magic: table entries in sectors or in clusters. */
function parallels(layer) {
  const { name, size, level, unitsOf } = layer;
  const file = new FileBytes("LE");
  const tracks = PARALLELS_BLOCK / SECTOR;
  const countsClusters = level % 2 === 0;
  const entries = Math.ceil(size / PARALLELS_BLOCK);
  const dataAt = up(64 + entries * 4, countsClusters ? PARALLELS_BLOCK : SECTOR);
  let next = dataAt;
  file.grow(next);
  for (const { index, bytes } of unitsOf(PARALLELS_BLOCK, false).reverse()) {
    file.u32(64 + index * 4, next / (countsClusters ? PARALLELS_BLOCK : SECTOR));
    file.put(next, bytes);
    next += PARALLELS_BLOCK;
  }
  file.text(0, countsClusters ? "WithouFreSpacExt" : "WithoutFreeSpace");
  file.u32(16, 2, 16, Math.ceil(size / SECTOR / 512), tracks, entries);
  file.u64(36, size / SECTOR);
  file.u32(44, 0x312e3276, dataAt / SECTOR);
  return [{ name, bytes: file.bytes }];
}

export const shotOf = (level) => `{${guidText(idBytes(level, 4))}}`;

/** The DiskDescriptor.xml of images from the base on, the last of them active. */
export function bundleDescriptor(size, names) {
  const sectors = size / SECTOR;
  const images = names.map((file, i) => `<Image><GUID>${shotOf(i)}</GUID><Type>Compressed</Type><File>${file}</File></Image>`);
  const none = "{00000000-0000-0000-0000-000000000000}";
  const shots = names.map((_, i) => `<Shot><GUID>${shotOf(i)}</GUID><ParentGUID>${i === 0 ? none : shotOf(i - 1)}</ParentGUID></Shot>`);
  return Buffer.from(`<?xml version='1.0' encoding='UTF-8'?>
<Parallels_disk_image Version="1.0">
<Disk_Parameters><Disk_size>${sectors}</Disk_size><Cylinders>${sectors}</Cylinders><Heads>1</Heads><Sectors>1</Sectors><Padding>0</Padding></Disk_Parameters>
<StorageData><Storage><Start>0</Start><End>${sectors}</End><Blocksize>${PARALLELS_BLOCK / SECTOR}</Blocksize>${images.join("")}</Storage></StorageData>
<Snapshots><TopGUID>${shotOf(names.length - 1)}</TopGUID>${shots.join("")}</Snapshots>
</Parallels_disk_image>
`);
}

export const MACHINE_LAYERS = { vpc, vhdx, vdi, parallels };
