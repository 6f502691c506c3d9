/** What clouds publish about the images that they take. Sources: the files of the same names in src/presets. */
import { statSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as read from "./preset-readers.mjs";
import { GIB, hasTable, MIB, named, replaceText, rule, TIB, u32, u64, unless } from "./preset-rule.mjs";

/** Writes a field of a VHD footer and sums the footer again, so that only this is wrong. */
function editFooter(path, edit) {
  const { bytes } = read.vhdFooter(path);
  edit(bytes);
  bytes.writeUInt32BE(read.vhdChecksum(bytes), 64);
  read.patch(path, -read.SECTOR, bytes);
}
export const azure = [
  rule(
    "it ends with a VHD footer whose sum is right",
    ({ path }) => {
      const { cookie, version, checksumIsRight } = read.vhdFooter(path);
      return unless(cookie === "conectix" && version === 0x10000 && checksumIsRight, "the last sector is no VHD footer");
    },
    ({ path }) => read.patch(path, -read.SECTOR + 68, Buffer.from([1, 2, 3])),
  ),
  rule(
    "it is fixed",
    ({ path }) => {
      const { diskType, dataOffset } = read.vhdFooter(path);
      return unless(diskType === 2 && dataOffset === 2n ** 64n - 1n, `disk type ${diskType}`);
    },
    ({ path }) => editFooter(path, (footer) => footer.writeUInt32BE(3, 60)),
  ),
  rule(
    "without the footer it has whole MiB",
    ({ path }) => unless((statSync(path).size - 512) % MIB === 0, `${statSync(path).size - 512} bytes are not whole MiB`),
    ({ path }) => read.resize(path, statSync(path).size + 512),
  ),
  rule(
    "the footer states exactly the size that is there",
    ({ path }) => {
      const { currentSize, fileSize } = read.vhdFooter(path);
      return unless(currentSize === fileSize - 512, `${currentSize} are stated, ${fileSize - 512} are there`);
    },
    ({ path }) => editFooter(path, (footer) => footer.writeBigUInt64BE(footer.readBigUInt64BE(48) - 512n, 48)),
  ),
  rule(
    "programs that go by the geometry see the same size",
    ({ path, disk }) => {
      const { creator, currentSize } = read.vhdFooter(path);
      const isSeen = statSync(disk).size === currentSize && !["vpc ", "vs  ", "qemu"].includes(creator);
      return unless(isSeen, `the creator is “${creator}”, and ${statSync(disk).size} bytes are seen`);
    },
    ({ path }) => editFooter(path, (footer) => footer.write("vpc ", 28)),
  ),
  rule(
    "it has 20 MiB to 2040 GiB",
    ({ path }) =>
      unless(statSync(path).size - 512 >= 20 * MIB && statSync(path).size - 512 <= 2040 * GIB, `it has ${statSync(path).size} bytes`),
    ({ path }) => read.resize(path, 19 * MIB + 512),
  ),
  named(/^[A-Za-z0-9][A-Za-z0-9_-]{0,79}\.vhd$/, "web server.vhd"),
];

const stream = read.vmdkHeader;
export const aws = [
  rule(
    "it is a stream-optimized VMDK",
    ({ path }) =>
      unless(
        stream(path).descriptor.settings.createType === "streamOptimized",
        `createType is ${stream(path).descriptor.settings.createType}`,
      ),
    ({ path }) => replaceText(path, 'createType="streamOptimized"', 'createType="monolithicSpars"'),
  ),
  rule(
    "of version 3, compressed and with markers",
    ({ path }) => {
      const { version, flags, compression } = stream(path);
      return unless(version === 3 && (flags & 0x30001) === 0x30001 && compression === 1, `version ${version}, flags ${flags.toString(16)}`);
    },
    ({ path }) => read.patch(path, 4, u32(1)),
  ),
  rule(
    "whose footer says where the directory is, and which ends with the end-of-stream marker",
    ({ path }) => {
      const [marker, footer, end] = [-3, -2, -1].map((i) => read.bytesAt(path, i * read.SECTOR, read.SECTOR));
      const isFooter = marker.readUInt32LE(12) === 3 && footer.toString("latin1", 0, 4) === "KDMV";
      const place = footer.readBigUInt64LE(56);
      const isEnd = end.every((byte) => byte === 0);
      return unless(
        stream(path).gdOffset === 2n ** 64n - 1n && isFooter && isEnd && place < 2n ** 63n,
        "footer and end marker are not where they belong",
      );
    },
    ({ path }) => read.resize(path, statSync(path).size + read.SECTOR),
  ),
  rule(
    "it has whole GiB, up to 64 TiB",
    ({ path }) => unless(stream(path).capacity % GIB === 0 && stream(path).capacity <= 64 * TIB, `it has ${stream(path).capacity} bytes`),
    ({ path }) => read.patch(path, 12, u64(2 ** 21 + 1)),
  ),
  named(/^[A-Za-z0-9._-]+\.vmdk$/, "web(1).vmdk"),
];

/** Reading one is reading the whole disk: once for each result. */
const archives = new WeakMap();
function archive(result) {
  if (!archives.has(result)) archives.set(result, read.packedArchive(result.path, null));
  return archives.get(result);
}
const instead = (options) => (result) => writeFileSync(result.path, gzipSync(read.smallArchive(options)));
export const gce = [
  rule(
    "it is a gzip stream",
    ({ path }) => unless(read.bytesAt(path, 0, 2).equals(Buffer.from([0x1f, 0x8b])), "no gzip magic"),
    ({ path }) => writeFileSync(path, read.smallArchive({})),
  ),
  rule(
    "of an old-GNU tar archive",
    async (result) => {
      const { magic, sumIsRight, typeFlag } = await archive(result);
      return unless(
        magic === "ustar  \0" && sumIsRight && (typeFlag === "0" || typeFlag === "\0"),
        `the magic is ${JSON.stringify(magic)}`,
      );
    },
    instead({ magic: "ustar\x0000" }),
  ),
  rule(
    "with one member, disk.raw",
    async (result) => unless((await archive(result)).name === "disk.raw", "the member has another name"),
    instead({ name: "web.raw" }),
  ),
  rule(
    "and nothing after it",
    async (result) => unless((await archive(result)).endIsRight, "the archive does not end after the member"),
    instead({ end: read.smallArchive({ name: "second" }) }),
  ),
  rule("it has whole GiB", async (result) => unless((await archive(result)).size % GIB === 0, "not whole GiB"), instead({})),
  hasTable,
  named(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?\.tar\.gz$/, "Web.tar.gz"),
];

/** Bits of incompatible features that QEMU defines: dirty, corrupt, data file, compression type, extended L2. */
const KNOWN = 0b11111n;
export const qcow2 = [
  rule(
    "it is a qcow2 of version 3",
    ({ path }) => unless(read.qcow2Header(path).version === 3, "another version"),
    ({ path }) => read.patch(path, 4, u32(2, "BE")),
  ),
  rule(
    "without a backing file",
    ({ path }) => unless(read.qcow2Header(path).backingFileOffset === 0, "it has a backing file"),
    ({ path }) => read.patch(path, 8, u64(1024, "BE")),
  ),
  rule(
    "without a data file or unknown features, clean and whole",
    ({ path }) => {
      const { incompatible } = read.qcow2Header(path);
      return unless((incompatible & ~KNOWN) === 0n && (incompatible & 0b111n) === 0n, `incompatible features ${incompatible.toString(2)}`);
    },
    ({ path }) => read.patch(path, 72, u64(4, "BE")),
  ),
  rule(
    "not encrypted",
    ({ path }) => unless(read.qcow2Header(path).cryptMethod === 0, "it is encrypted"),
    ({ path }) => read.patch(path, 32, u32(2, "BE")),
  ),
];

export const digitalocean = [
  ...qcow2,
  rule(
    "it is smaller than 100 GB unpacked",
    ({ path }) => unless(read.qcow2Header(path).size < 100e9, "too large"),
    ({ path }) => read.patch(path, 24, u64(100 * GIB, "BE")),
  ),
  hasTable,
  named(/\.(qcow2|img)$/, "web.qcow2.xz"),
];
