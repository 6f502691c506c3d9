/** Headers of images, read by their specifications and by nothing of the product: what the targets' rules are asked of. Numbers are bytes. */
import { closeSync, createReadStream, fstatSync, ftruncateSync, openSync, readFileSync, readSync, statSync, writeSync } from "node:fs";
import { createGunzip } from "node:zlib";

export const SECTOR = 512;

/** `length` bytes at `at`; from the end when `at` is negative. */
export function bytesAt(path, at, length) {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(length);
    const start = at < 0 ? fstatSync(fd).size + at : at;
    const got = start < 0 ? 0 : readSync(fd, bytes, 0, length, start);
    if (got !== length) throw new Error(`there are no ${length} bytes at ${start}`);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

export function patch(path, at, bytes) {
  const fd = openSync(path, "r+");
  try {
    writeSync(fd, bytes, 0, bytes.length, at < 0 ? fstatSync(fd).size + at : at);
  } finally {
    closeSync(fd);
  }
}

export function resize(path, size) {
  const fd = openSync(path, "r+");
  ftruncateSync(fd, size);
  closeSync(fd);
}

/** A 64-bit field as a number; one that is none is refused. */
function exact(value) {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`the size ${value} is past 2^53`);
  return Number(value);
}

function demand(is, what) {
  if (!is) throw new Error(what);
}

/** MS-VHD, “Hard Disk Footer Format”: the last sector. */
export function vhdFooter(path) {
  const footer = bytesAt(path, -SECTOR, SECTOR);
  const stored = footer.readUInt32BE(64);
  return {
    cookie: footer.toString("latin1", 0, 8),
    version: footer.readUInt32BE(12),
    dataOffset: footer.readBigUInt64BE(16),
    creator: footer.toString("latin1", 28, 32),
    currentSize: exact(footer.readBigUInt64BE(48)),
    diskType: footer.readUInt32BE(60),
    checksumIsRight: stored === vhdChecksum(footer),
    bytes: footer,
    fileSize: statSync(path).size,
  };
}

/** The complement of the sum of all bytes but the sum's own. */
export function vhdChecksum(footer) {
  const sum = footer.reduce((total, byte, i) => (i >= 64 && i < 68 ? total : total + byte), 0);
  return ~sum >>> 0;
}

/** docs/interop/qcow2.rst, “Header”. */
export function qcow2Header(path) {
  const head = bytesAt(path, 0, 104);
  demand(head.toString("latin1", 0, 4) === "QFI\xfb", "no qcow2 magic");
  const version = head.readUInt32BE(4);
  demand(version === 2 || version === 3, `qcow2 version ${version}`);
  return {
    version,
    backingFileOffset: exact(head.readBigUInt64BE(8)),
    clusterBits: head.readUInt32BE(20),
    size: exact(head.readBigUInt64BE(24)),
    cryptMethod: head.readUInt32BE(32),
    snapshots: head.readUInt32BE(60),
    incompatible: version === 3 ? head.readBigUInt64BE(72) : 0n,
  };
}

/** Virtual Disk Format 5.0, “Hosted Sparse Extents”. */
export function vmdkHeader(path) {
  const head = bytesAt(path, 0, SECTOR);
  demand(head.toString("latin1", 0, 4) === "KDMV", "no sparse VMDK magic");
  const descriptorAt = exact(head.readBigUInt64LE(28)) * SECTOR;
  const descriptorBytes = exact(head.readBigUInt64LE(36)) * SECTOR;
  return {
    version: head.readUInt32LE(4),
    flags: head.readUInt32LE(8),
    capacity: exact(head.readBigUInt64LE(12)) * SECTOR,
    gdOffset: head.readBigUInt64LE(56),
    lineEndings: [...head.subarray(73, 77)],
    compression: head.readUInt16LE(77),
    descriptor: descriptorOf(bytesAt(path, descriptorAt, descriptorBytes)),
  };
}

/** “The Descriptor File”: settings by name, and the lines of extents. */
export function descriptorOf(bytes) {
  const text = bytes.toString("utf8").replace(/\0+$/, "");
  const settings = {};
  for (const [, name, value] of text.matchAll(/^\s*([\w.]+)\s*=\s*"?([^"\n]*?)"?\s*$/gm)) settings[name] = value;
  const extents = [...text.matchAll(/^(RW|RDONLY|NOACCESS) (\d+) (\w+)(?: "([^"]*)")?(?: (\d+))?\s*$/gm)].map(
    ([, access, sectors, type, name]) => ({
      access,
      bytes: Number(sectors) * SECTOR,
      type,
      name,
    }),
  );
  return { isOne: /^# Disk DescriptorFile/.test(text), settings, extents };
}

export function vmdkDescriptor(path) {
  demand(statSync(path).size < 1 << 16, "too large for a descriptor");
  return descriptorOf(readFileSync(path));
}

const CRC32C = Uint32Array.from({ length: 256 }, (_, i) => {
  let c = i;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});
/** [MS-VHDX] sums structures with their own checksum field, 4 bytes at 4, as zero. */
export function vhdxChecksum(bytes) {
  let c = 0xffffffff;
  bytes.forEach((byte, i) => {
    c = CRC32C[(c ^ (i >= 4 && i < 8 ? 0 : byte)) & 255] ^ (c >>> 8);
  });
  return ~c >>> 0;
}

const guidAt = (bytes, at) => {
  const hex = (from, to, swap) => {
    const part = Buffer.from(bytes.subarray(at + from, at + to));
    return (swap ? part.reverse() : part).toString("hex");
  };
  return `${hex(0, 4, true)}-${hex(4, 6, true)}-${hex(6, 8, true)}-${hex(8, 10)}-${hex(10, 16)}`;
};

export { guidAt };

const METADATA_REGION = "8b7ca206-4790-4b9a-b8fe-575f050f886e";
const ITEMS = {
  "caa16737-fa36-4d43-b3b6-33f0aa44e76b": "fileParameters",
  "2fa54224-cd1b-4876-b211-5dbed83bf4b8": "size",
  "8141bf1d-a96f-4709-ba47-f233a8faab5f": "logicalSector",
  "cda348c7-445d-4471-9cc9-e9885251c556": "physicalSector",
};

/** [MS-VHDX] 2.2 and 2.6: the newer header, the region table, the metadata. `places`: where the items' values lie in the file. */
export function vhdxMetadata(path) {
  demand(bytesAt(path, 0, 8).toString("latin1") === "vhdxfile", "no VHDX signature");
  const headers = [64 << 10, 128 << 10].map((at) => bytesAt(path, at, 4096)).filter((header) => isSummed(header, "head"));
  demand(headers.length > 0, "no valid VHDX header");
  headers.sort((a, b) => Number(b.readBigUInt64LE(8) - a.readBigUInt64LE(8)));
  const regions = bytesAt(path, 192 << 10, 64 << 10);
  demand(isSummed(regions, "regi"), "no valid region table");
  const entries = Array.from({ length: regions.readUInt32LE(8) }, (_, i) => 16 + i * 32);
  const entry = entries.find((at) => guidAt(regions, at) === METADATA_REGION);
  demand(entry !== undefined, "no metadata region");
  const at = exact(regions.readBigUInt64LE(entry + 16));
  const table = bytesAt(path, at, 64 << 10);
  demand(table.toString("latin1", 0, 8) === "metadata", "no metadata signature");
  const places = {};
  for (let i = 0; i < table.readUInt16LE(10); i++) {
    const name = ITEMS[guidAt(table, 32 + i * 32)];
    if (name !== undefined) places[name] = at + table.readUInt32LE(32 + i * 32 + 16);
  }
  const parameters = bytesAt(path, places.fileParameters, 8);
  return {
    places,
    logIsEmpty: headers[0].subarray(48, 64).every((byte) => byte === 0),
    blockSize: parameters.readUInt32LE(0),
    hasParent: (parameters.readUInt32LE(4) & 2) !== 0,
    size: exact(bytesAt(path, places.size, 8).readBigUInt64LE(0)),
    logicalSector: bytesAt(path, places.logicalSector, 4).readUInt32LE(0),
  };
}

const isSummed = (bytes, signature) => bytes.toString("latin1", 0, 4) === signature && bytes.readUInt32LE(4) === vhdxChecksum(bytes);

/** VDICore.h: the pre-header of 72 bytes, then the header of version 1.1. */
export function vdiHeader(path) {
  const head = bytesAt(path, 0, SECTOR);
  demand(head.readUInt32LE(64) === 0xbeda107f, "no VDI signature");
  return {
    version: head.readUInt32LE(68),
    type: head.readUInt32LE(76),
    size: exact(head.readBigUInt64LE(368)),
    blockSize: head.readUInt32LE(376),
    uuidIsSet: head.subarray(392, 408).some((byte) => byte !== 0),
    parentIsSet: head.subarray(424, 456).some((byte) => byte !== 0),
  };
}

/** The first header of an archive in a gzip stream; `disk`: a path that the first member's content is written to, or null. */
export async function packedArchive(path, disk) {
  demand(bytesAt(path, 0, 3).equals(Buffer.from([0x1f, 0x8b, 8])), "no gzip magic");
  let header = Buffer.alloc(0);
  let place = 0;
  let size = 0;
  let restIsZero = true;
  const fd = disk === null ? null : openSync(disk, "w");
  try {
    for await (const chunk of createReadStream(path).pipe(createGunzip())) {
      let bytes = chunk;
      if (header.length < SECTOR) {
        const taken = bytes.subarray(0, SECTOR - header.length);
        header = Buffer.concat([header, taken]);
        bytes = bytes.subarray(taken.length);
        if (header.length === SECTOR) size = tarSize(header);
      }
      const content = bytes.subarray(0, Math.max(0, size - place));
      if (fd !== null && content.some((byte) => byte !== 0)) writeSync(fd, content, 0, content.length, place);
      restIsZero &&= bytes.subarray(content.length).every((byte) => byte === 0);
      place += bytes.length;
    }
    if (fd !== null) ftruncateSync(fd, size);
  } finally {
    if (fd !== null) closeSync(fd);
  }
  demand(header.length === SECTOR, "no tar header");
  return {
    name: header.toString("latin1", 0, 100).replace(/\0.*$/s, ""),
    magic: header.toString("latin1", 257, 265),
    typeFlag: header.toString("latin1", 156, 157),
    sumIsRight: Number.parseInt(header.toString("latin1", 148, 156), 8) === tarSum(header),
    size,
    // Padding and the two blocks of zeros that end an archive.
    endIsRight: restIsZero && place - size >= 2 * SECTOR,
  };
}

const tarSize = (header) =>
  (header[124] & 0x80) === 0 ? Number.parseInt(header.toString("latin1", 124, 136), 8) : exact(header.readBigUInt64BE(128));
const tarSum = (header) => header.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 32 : byte), 0);

/** An archive of one small member, for the negative controls. */
export function smallArchive({ name = "disk.raw", magic = "ustar  \0", content = Buffer.alloc(1 << 20), end = Buffer.alloc(2 * SECTOR) }) {
  const header = Buffer.alloc(SECTOR);
  header.write(name, 0, "latin1");
  header.write(`0000644\0${"0000000\0".repeat(2)}`, 100, "latin1");
  header.write(`${content.length.toString(8).padStart(11, "0")}\0${"0".repeat(11)}\0`, 124, "latin1");
  header.write("0", 156, "latin1");
  header.write(magic, 257, "latin1");
  header.write(`${tarSum(header).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return Buffer.concat([header, content, Buffer.alloc((SECTOR - (content.length % SECTOR)) % SECTOR), end]);
}

/** QEMU docs/interop/parallels.txt: the header of an expandable image. */
export function parallelsHeader(path) {
  const head = bytesAt(path, 0, 64);
  const magic = head.toString("latin1", 0, 16);
  demand(magic === "WithouFreSpacExt" || magic === "WithoutFreeSpace", "no Parallels magic");
  return { magic, size: exact(head.readBigUInt64LE(36)) * SECTOR };
}

/** UEFI 2.10 section 5.3 and the MBR: kind, partitions as [start, length, type], and whether the second GPT header is in the last sector. */
export function partitionsOf(disk) {
  const size = statSync(disk).size;
  const boot = bytesAt(disk, 0, SECTOR);
  if (boot.readUInt16BE(510) !== 0x55aa) return { kind: "none", partitions: [] };
  const header = bytesAt(disk, SECTOR, SECTOR);
  if (header.toString("latin1", 0, 8) !== "EFI PART") {
    const slots = [0, 1, 2, 3].map((i) => boot.subarray(446 + i * 16, 462 + i * 16)).filter((slot) => slot[4] !== 0);
    return {
      kind: "MBR",
      partitions: slots.map((slot) => ({ start: slot.readUInt32LE(8) * SECTOR, length: slot.readUInt32LE(12) * SECTOR, type: slot[4] })),
    };
  }
  const entryBytes = header.readUInt32LE(84);
  const table = bytesAt(disk, exact(header.readBigUInt64LE(72)) * SECTOR, header.readUInt32LE(80) * entryBytes);
  const partitions = [];
  for (let at = 0; at < table.length; at += entryBytes) {
    if (table.subarray(at, at + 16).every((byte) => byte === 0)) continue;
    const start = exact(table.readBigUInt64LE(at + 32)) * SECTOR;
    partitions.push({ start, length: (exact(table.readBigUInt64LE(at + 40)) + 1) * SECTOR - start, type: guidAt(table, at) });
  }
  const last = bytesAt(disk, -SECTOR, SECTOR);
  const second = last.toString("latin1", 0, 8) === "EFI PART" && exact(header.readBigUInt64LE(32)) === size / SECTOR - 1;
  return { kind: "GPT", partitions, secondHeaderIsLast: second };
}
