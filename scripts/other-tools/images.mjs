/** The images of the rows that no tool makes: by hand, from the formats' specifications. All are a few MiB at most. */
import { deflateSync } from "node:zlib";

export const SECTOR = 512;
export const MIB = 1 << 20;

const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

/** Bytes that no codec can shrink, the same for the same seed. */
export function noise(length, seed) {
  const out = Buffer.alloc(length);
  let x = (seed * 2654435761 + 0x9e3779b9) >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x;
  }
  return out;
}

/** Numbered lines: bytes that every codec shrinks and no two blocks share. */
export function lines(length) {
  const parts = [];
  for (let bytes = 0, i = 0; bytes < length; i++) {
    const line = `line ${i} of a disk that packs well\n`;
    parts.push(line);
    bytes += line.length;
  }
  return Buffer.from(parts.join("")).subarray(0, length);
}

/** A table of the reflected CRC-32 with this polynomial. */
const crcTable = (polynomial) =>
  Uint32Array.from({ length: 256 }, (_, i) => {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ polynomial : c >>> 1;
    return c;
  });
const crc = (table) => (bytes) => {
  let c = 0xffffffff;
  for (const byte of bytes) c = table[(c ^ byte) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
};
const crc32 = crc(crcTable(0xedb88320));
const crc32c = crc(crcTable(0x82f63b78));

/** A VMDK that is only a descriptor; `extents`: its extent lines. */
export const vmdkDescriptor = (...extents) =>
  Buffer.from(`# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="monolithicFlat"

# Extent description
${extents.join("\n")}

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "3"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.adapterType = "ide"
`);

/** VHD: the complement of the sum of the structure's bytes, at `field` inside it. */
function sumVhd(image, at, length, field) {
  image.writeUInt32BE(0, at + field);
  let sum = 0;
  for (const byte of image.subarray(at, at + length)) sum += byte;
  image.writeUInt32BE(~sum >>> 0, at + field);
}

/** Changes both copies of a dynamic VHD's footer: `change(image, place of the copy)`. */
function changeFooters(image, change) {
  const out = Buffer.from(image);
  for (const at of [0, out.length - SECTOR]) {
    change(out, at);
    sumVhd(out, at, SECTOR, 64);
  }
  return out;
}

/** A dynamic VHD made the child of `parent`, which it names `name`: its unallocated blocks are the parent's. */
export function differencingVhd(image, parent, name) {
  const out = changeFooters(image, (footer, at) => footer.writeUInt32BE(4, at + 60));
  const header = Number(out.readBigUInt64BE(16));
  parent.copy(out, header + 40, 68, 84);
  Buffer.from(name, "utf16le")
    .swap16()
    .copy(out, header + 64);
  sumVhd(out, header, 1024, 36);
  return out;
}

/** A dynamic VHD as another program would have stamped it: `creator` has four letters, `geometry` may cover less than `size`. */
export function stampedVhd(image, creator, size, [cylinders, heads, sectors]) {
  return changeFooters(image, (footer, at) => {
    footer.write(creator, at + 28, "latin1");
    footer.writeBigUInt64BE(BigInt(size), at + 40);
    footer.writeBigUInt64BE(BigInt(size), at + 48);
    footer.writeUInt16BE(cylinders, at + 56);
    footer[at + 58] = heads;
    footer[at + 59] = sectors;
  });
}

const [DATA_CHUNK, CRC_CHUNK] = [0xcac1, 0xcac4];

/** Android sparse: one data chunk and one with the CRC-32 of `summed`. */
export function androidSparse(disk, summed = disk) {
  const block = 4096;
  const header = Buffer.alloc(28);
  header.writeUInt32LE(0xed26ff3a, 0);
  header.writeUInt16LE(1, 4);
  header.writeUInt16LE(28, 8);
  header.writeUInt16LE(12, 10);
  header.writeUInt32LE(block, 12);
  header.writeUInt32LE(disk.length / block, 16);
  header.writeUInt32LE(2, 20);
  const chunk = (type, blocks, content) => {
    const top = Buffer.alloc(12);
    top.writeUInt16LE(type, 0);
    top.writeUInt32LE(blocks, 4);
    top.writeUInt32LE(12 + content.length, 8);
    return Buffer.concat([top, content]);
  };
  return Buffer.concat([header, chunk(DATA_CHUNK, disk.length / block, disk), chunk(CRC_CHUNK, 0, u32(crc32(summed)))]);
}

const ZLIB_CHUNK = 0x80000005;
export const LZMA_CHUNK = 0x80000008;

/** A chunk of a DMG. `order`: its data's turn in the file. */
export const packedChunk = (type, disk, data, order = 0) => ({ type, sectors: disk.length / SECTOR, data, order });
export const zlibChunk = (disk, order) => packedChunk(ZLIB_CHUNK, disk, deflateSync(disk), order);

/**
 * A DMG of one table per chunk, its terminator without a place, as hdiutil makes one per partition. `stated`: the trailer's
 * SectorCount.
 */
export function dmg(chunks, stated) {
  const places = new Map();
  let end = 0;
  const data = [...chunks].sort((a, b) => a.order - b.order);
  for (const chunk of data) {
    places.set(chunk, end);
    end += chunk.data.length;
  }
  let sector = 0;
  const tables = chunks.map((chunk) => {
    const table = Buffer.alloc(204 + 2 * 40);
    table.write("mish");
    table.writeUInt32BE(1, 4);
    table.writeBigUInt64BE(BigInt(sector), 8);
    table.writeBigUInt64BE(BigInt(chunk.sectors), 16);
    table.writeUInt32BE(2056, 32);
    table.writeUInt32BE(2, 200);
    table.writeUInt32BE(chunk.type, 204);
    table.writeBigUInt64BE(BigInt(chunk.sectors), 204 + 16);
    table.writeBigUInt64BE(BigInt(places.get(chunk)), 204 + 24);
    table.writeBigUInt64BE(BigInt(chunk.data.length), 204 + 32);
    table.writeUInt32BE(0xffffffff, 244);
    table.writeBigUInt64BE(BigInt(chunk.sectors), 244 + 8);
    sector += chunk.sectors;
    return table;
  });
  const list = propertyList(tables);
  const trailer = Buffer.alloc(SECTOR);
  trailer.write("koly");
  trailer.writeUInt32BE(4, 4);
  trailer.writeUInt32BE(SECTOR, 8);
  trailer.writeUInt32BE(1, 12);
  trailer.writeBigUInt64BE(BigInt(end), 32);
  trailer.writeUInt32BE(1, 56);
  trailer.writeUInt32BE(1, 60);
  trailer.writeBigUInt64BE(BigInt(end), 216);
  trailer.writeBigUInt64BE(BigInt(list.length), 224);
  trailer.writeUInt32BE(1, 488);
  trailer.writeBigUInt64BE(BigInt(stated ?? sector), 492);
  return Buffer.concat([...data.map((chunk) => chunk.data), list, trailer]);
}

const propertyList = (tables) =>
  Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict><key>resource-fork</key><dict><key>blkx</key><array>${tables.map(tableEntry).join("")}</array></dict></dict></plist>
`);
const tableEntry = (table, index) => `<dict>
<key>Attributes</key><string>0x0050</string><key>CFName</key><string>disk</string><key>Data</key><data>
${table.toString("base64")}
</data><key>ID</key><string>${index - 1}</string><key>Name</key><string>disk</string></dict>
`;

const VHDX_HEADERS = [64 * 1024, 128 * 1024];
const VHDX_REGIONS = 192 * 1024;
const BAT_GUID_START = 0x2dc27766;

/**
 * A VHDX as a crash leaves it: the place of the disk's second block stands in the log only, not in the block table yet
 * ([MS-VHDX] 2.3.1: one log entry of one data descriptor and its data sector).
 */
export function dirtyVhdx(image) {
  const out = Buffer.from(image);
  const regions = Array.from({ length: out.readUInt32LE(VHDX_REGIONS + 8) }, (_, i) => VHDX_REGIONS + 16 + 32 * i);
  const table = Number(out.readBigUInt64LE(regions.find((at) => out.readUInt32LE(at) === BAT_GUID_START) + 16));
  const log = Number(out.readBigUInt64LE(VHDX_HEADERS[0] + 72));
  const sector = Buffer.from(out.subarray(table, table + 4096));
  out.fill(0, table + 8, table + 16);
  const guid = Buffer.from("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "hex");
  const descriptor = [Buffer.from("desc"), sector.subarray(4092), sector.subarray(0, 8), u64(table), u64(1)];
  const fields = [Buffer.from("loge"), u32(0), u32(8192), u32(0), u64(1), u32(1), u32(0), guid, u64(out.length), u64(out.length)];
  const head = Buffer.alloc(4096);
  Buffer.concat([...fields, ...descriptor]).copy(head);
  const entry = Buffer.concat([head, Buffer.from("data"), u32(0), sector.subarray(8, 4092), u32(1)]);
  entry.writeUInt32LE(crc32c(entry), 4);
  entry.copy(out, log);
  for (const at of VHDX_HEADERS) {
    guid.copy(out, at + 48);
    out.writeUInt32LE(0, at + 4);
    out.writeUInt32LE(crc32c(out.subarray(at, at + 4096)), at + 4);
  }
  return out;
}
