/**
 * What the targets publish about the images that they take, one rule after the other, asked of the bytes of a result; none of it comes
 * from the product. A rule: `says`; `check(result)` tells what is wrong ("" when nothing is); `broken(result)` spoils a copy so that the
 * rule must refuse it. `result`: `path` of the image, `folder`, `name`, and `disk`, the raw disk that an independent program sees in it.
 * Sources: src/presets/*.ts names them rule by rule.
 */
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as read from "./preset-readers.mjs";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;
const ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

const rule = (says, check, broken) => ({ says, check, broken, spoils: "image" });
/** One about the disk inside, which is spoilt instead. */
const diskRule = (says, check, broken) => ({ says, check, broken, spoils: "disk" });
const unless = (isRight, fault) => (isRight ? "" : fault);

/** Writes a field of a VHD footer and sums the footer again, so that only this is wrong. */
function editFooter(path, edit) {
  const { bytes } = read.vhdFooter(path);
  edit(bytes);
  bytes.writeUInt32BE(read.vhdChecksum(bytes), 64);
  read.patch(path, -read.SECTOR, bytes);
}
const u32 = (value, endian = "LE") => {
  const bytes = Buffer.alloc(4);
  bytes[`writeUInt32${endian}`](value);
  return bytes;
};
const u64 = (value, endian = "LE") => {
  const bytes = Buffer.alloc(8);
  bytes[`writeBigUInt64${endian}`](BigInt(value));
  return bytes;
};
/** A text of the same length in the place of another in the image's first 64 KiB. */
function replaceText(path, from, to) {
  const head = readFileSync(path).subarray(0, 64 << 10);
  const at = head.indexOf(from);
  if (at < 0 || from.length !== to.length) throw new TypeError(`cannot replace ${from} by ${to}`);
  read.patch(path, at, Buffer.from(to));
}
const named = (pattern, wrong) =>
  rule(
    `the name matches ${pattern}`,
    ({ name }) => unless(pattern.test(name), `the name is ${name}`),
    (result) => {
      renameSync(result.path, join(result.folder, wrong));
      return { name: wrong, path: join(result.folder, wrong) };
    },
  );

const azure = [
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
    ({ path }) => unless(!["vpc ", "vs  ", "qemu"].includes(read.vhdFooter(path).creator), "the creator is one that goes by the geometry"),
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

const stream = (path) => read.vmdkHeader(path);
const aws = [
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
const gce = [
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
  diskRule(
    "it has a partition table",
    ({ disk }) => unless(read.partitionsOf(disk).kind !== "none", "no partition table"),
    ({ disk }) => read.patch(disk, 510, Buffer.alloc(2)),
  ),
  named(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?\.tar\.gz$/, "Web.tar.gz"),
];

/** Bits of incompatible features that QEMU defines: dirty, corrupt, data file, compression type, extended L2. */
const KNOWN = 0b11111n;
const qcow2 = [
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

const digitalocean = [
  ...qcow2,
  rule(
    "it is smaller than 100 GB unpacked",
    ({ path }) => unless(read.qcow2Header(path).size < 100e9, "too large"),
    ({ path }) => read.patch(path, 24, u64(100 * GIB, "BE")),
  ),
  diskRule(
    "it has a partition table",
    ({ disk }) => unless(read.partitionsOf(disk).kind !== "none", "no partition table"),
    ({ disk }) => read.patch(disk, 510, Buffer.alloc(2)),
  ),
  named(/\.(qcow2|img)$/, "web.qcow2.xz"),
];

const NO_PARENT = "ffffffff";
const orphan = (descriptor) =>
  rule(
    "its descriptor names no parent",
    ({ path }) => unless(descriptor(path).settings.parentCID === NO_PARENT, "it has a parent"),
    ({ path }) => replaceText(path, `parentCID=${NO_PARENT}`, "parentCID=12345678"),
  );
const flat = ({ path, folder }) => join(folder, read.vmdkDescriptor(path).extents[0]?.name ?? "");
const esxi = [
  rule(
    "it is a descriptor of a type that ESXi starts from",
    ({ path }) => {
      const { isOne, settings } = read.vmdkDescriptor(path);
      return unless(isOne && ["vmfs", "streamOptimized"].includes(settings.createType), `createType is ${settings.createType}`);
    },
    ({ path }) => writeFileSync(path, readFileSync(path, "latin1").replace('"vmfs"', '"monolithicSparse"'), "latin1"),
  ),
  rule(
    "with one flat extent of VMFS beside it, of the size that it says",
    (result) => {
      const { extents } = read.vmdkDescriptor(result.path);
      const [extent] = extents;
      const isRight = extents.length === 1 && extent.type === "VMFS" && extent.access === "RW" && !/[/\\]/.test(extent.name);
      return unless(
        isRight && existsSync(flat(result)) && statSync(flat(result)).size === extent.bytes,
        "the flat file is not what the descriptor says",
      );
    },
    (result) => read.resize(flat(result), statSync(flat(result)).size - read.SECTOR),
  ),
  rule(
    "marked as thin",
    ({ path }) => unless(read.vmdkDescriptor(path).settings["ddb.thinProvisioned"] === "1", "not thin"),
    ({ path }) => replaceText(path, 'ddb.thinProvisioned = "1"', 'ddb.thinProvisioned = "0"'),
  ),
  rule(
    "of a hardware version that ESXi 5.5 has",
    ({ path }) => unless(Number(read.vmdkDescriptor(path).settings["ddb.virtualHWVersion"]) <= 10, "too new"),
    ({ path }) => replaceText(path, 'ddb.virtualHWVersion = "10"', 'ddb.virtualHWVersion = "21"'),
  ),
  rule(
    "it has up to 62 TiB",
    ({ path }) => unless(read.vmdkDescriptor(path).extents.reduce((sum, { bytes }) => sum + bytes, 0) <= 62 * TIB, "too large"),
    ({ path }) => writeFileSync(path, readFileSync(path, "latin1").replace(/^RW \d+/m, `RW ${(63 * TIB) / 512}`), "latin1"),
  ),
  orphan(read.vmdkDescriptor),
  named(/^(?!.*-flat)[^"]+\.vmdk$/, "web-flat-flat.vmdk"),
];

const workstation = [
  rule(
    "it is one sparse file",
    ({ path, name }) => {
      const { settings, extents } = stream(path).descriptor;
      const isRight =
        settings.createType === "monolithicSparse" && extents.length === 1 && extents[0].type === "SPARSE" && extents[0].name === name;
      return unless(isRight, `createType is ${settings.createType}`);
    },
    ({ path }) => replaceText(path, 'createType="monolithicSparse"', 'createType="streamOptimizedX"'),
  ),
  rule(
    "of a version that they open, not compressed",
    ({ path }) => unless([1, 2].includes(stream(path).version) && stream(path).compression === 0, "another version"),
    ({ path }) => read.patch(path, 77, Buffer.from([1, 0])),
  ),
  rule(
    "whose line ends were not translated on the way",
    ({ path }) => unless(stream(path).lineEndings.join() === "10,32,13,10", "line ends are damaged"),
    ({ path }) => read.patch(path, 73, Buffer.from("\n \n\n")),
  ),
  rule(
    "it has up to 8 TB",
    ({ path }) => unless(stream(path).capacity <= 8 * TIB, "too large"),
    ({ path }) => read.patch(path, 12, u64((9 * TIB) / 512)),
  ),
  orphan((path) => stream(path).descriptor),
  named(/\.vmdk$/, "web.img"),
];

/** Writes one value of the metadata. */
const item = (name, bytes) => (result) => read.patch(result.path, read.vhdxMetadata(result.path).places[name], bytes);
const hyperV = (most) => [
  rule(
    "it is a VHDX whose header and region table are sound and whose log is empty",
    ({ path }) => unless(read.vhdxMetadata(path).logIsEmpty, "the log is not empty"),
    ({ path }) => [64, 128].forEach((kib) => void read.patch(path, kib * 1024 + 100, Buffer.from([1]))),
  ),
  rule(
    "with blocks of 1 MiB",
    ({ path }) => unless(read.vhdxMetadata(path).blockSize === MIB, "other blocks"),
    item("fileParameters", u32(32 * MIB)),
  ),
  rule(
    "without a parent",
    ({ path }) => unless(!read.vhdxMetadata(path).hasParent, "it has a parent"),
    (result) => read.patch(result.path, read.vhdxMetadata(result.path).places.fileParameters + 4, u32(2)),
  ),
  rule(
    "of whole sectors of 512 or 4096 bytes",
    ({ path }) => {
      const { size, logicalSector } = read.vhdxMetadata(path);
      return unless([512, 4096].includes(logicalSector) && size % logicalSector === 0, `${size} bytes, sectors of ${logicalSector}`);
    },
    (result) => item("size", u64(read.vhdxMetadata(result.path).size + 1))(result),
  ),
  rule(
    `it has up to ${most / TIB} TB`,
    ({ path }) => unless(read.vhdxMetadata(path).size <= most, "too large"),
    item("size", u64(most + 512)),
  ),
  named(/\.vhdx$/, "web.vhd"),
];
const hyperV1 = [
  ...hyperV(2 * TIB),
  diskRule(
    "it has an MBR or a BIOS boot partition to start from",
    ({ disk }) => {
      const { kind, partitions } = read.partitionsOf(disk);
      const hasBoot = partitions.some(({ type }) => type === "21686148-6449-6e6f-744e-656564454649");
      return unless(kind === "MBR" || hasBoot, "BIOS has nothing to start from");
    },
    ({ disk }) => read.patch(disk, 510, Buffer.alloc(2)),
  ),
];
const hyperV2 = [
  ...hyperV(64 * TIB),
  diskRule(
    "it has a GPT with an EFI system partition",
    ({ disk }) => {
      const { kind, partitions } = read.partitionsOf(disk);
      return unless(kind === "GPT" && partitions.some(({ type }) => type === ESP), "UEFI has nothing to start from");
    },
    ({ disk }) => read.patch(disk, 512, Buffer.alloc(8)),
  ),
];

const virtualbox = [
  rule(
    "it is a VDI of version 1.1, normal or fixed",
    ({ path }) => {
      const { version, type } = read.vdiHeader(path);
      return unless(version === 0x10001 && (type === 1 || type === 2), `version ${version.toString(16)}, type ${type}`);
    },
    ({ path }) => read.patch(path, 76, u32(4)),
  ),
  rule(
    "with blocks of 1 MiB",
    ({ path }) => unless(read.vdiHeader(path).blockSize === MIB, "other blocks"),
    ({ path }) => read.patch(path, 376, u32(2 * MIB)),
  ),
  rule(
    "with a UUID of its own",
    ({ path }) => unless(read.vdiHeader(path).uuidIsSet, "no UUID"),
    ({ path }) => read.patch(path, 392, Buffer.alloc(16)),
  ),
  rule(
    "without a parent",
    ({ path }) => unless(!read.vdiHeader(path).parentIsSet, "it has a parent"),
    ({ path }) => read.patch(path, 424, Buffer.alloc(16, 7)),
  ),
  named(/\.vdi$/, "web.vdisk"),
];

const proxmox = [...qcow2, named(/^[A-Za-z0-9.+=_-]+\.(ova|qcow2|raw|vmdk)$/, "web.img")];
const kvm = [...qcow2, named(/\.(qcow2|img)$/, "web.raw")];

const descriptorPath = ({ folder }) => join(folder, "DiskDescriptor.xml");
const tag = (result, name) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(readFileSync(descriptorPath(result), "utf8"))?.[1];
const editDescriptor = (from, to) => (result) =>
  writeFileSync(descriptorPath(result), readFileSync(descriptorPath(result), "utf8").replace(from, to));
const parallels = [
  rule(
    "DiskDescriptor.xml names the image beside it, as an expanding one",
    (result) => unless(tag(result, "File") === result.name && tag(result, "Type") === "Compressed", `it names ${tag(result, "File")}`),
    editDescriptor(/<File>[^<]*/, "<File>other.hds"),
  ),
  rule(
    "both state the same size",
    (result) => {
      const { size } = read.parallelsHeader(result.path);
      return unless(size === Number(tag(result, "Disk_size")) * 512 && size === Number(tag(result, "End")) * 512, "the sizes differ");
    },
    ({ path }) => read.patch(path, 36, u64(5)),
  ),
  rule(
    "cylinders, heads and sectors give that size",
    (result) => {
      const product = ["Cylinders", "Heads", "Sectors"].reduce((all, name) => all * Number(tag(result, name)), 1);
      return unless(product === Number(tag(result, "Disk_size")), `the geometry gives ${product} sectors`);
    },
    editDescriptor(/<Cylinders>/, "<Cylinders>1"),
  ),
  rule(
    "it has 100 MB to 2 TB",
    ({ path }) => {
      const { size } = read.parallelsHeader(path);
      return unless(size >= 100e6 && size <= 2 * TIB, `it has ${size} bytes`);
    },
    ({ path }) => read.patch(path, 36, u64(99 * 2000)),
  ),
  named(/\.(hds|hdd)$/, "web.dmg"),
];

/** By the preset's name: the file to write, and the rules. */
export const TARGETS = {
  azure: { file: "web.vhd", driver: "vpc", rules: azure },
  aws: { file: "web.vmdk", driver: "vmdk", rules: aws },
  gce: { file: "web.tar.gz", driver: null, rules: gce },
  digitalocean: { file: "web.qcow2", driver: "qcow2", rules: digitalocean },
  openstack: { file: "web.qcow2", driver: "qcow2", rules: kvm },
  esxi: { file: "web.vmdk", driver: "vmdk", rules: esxi },
  workstation: { file: "web.vmdk", driver: "vmdk", rules: workstation },
  "hyper-v-gen1": { file: "web.vhdx", driver: "vhdx", rules: hyperV1 },
  "hyper-v-gen2": { file: "web.vhdx", driver: "vhdx", rules: hyperV2 },
  virtualbox: { file: "web.vdi", driver: "vdi", rules: virtualbox },
  proxmox: { file: "web.qcow2", driver: "qcow2", rules: proxmox },
  libvirt: { file: "web.qcow2", driver: "qcow2", rules: kvm },
  utm: { file: "web.qcow2", driver: "qcow2", rules: kvm },
  parallels: { file: "web.hds", driver: "parallels", rules: parallels },
};

/** What is true of the disk in every result, whose source is the raw disk `source`. */
export function diskRules(source) {
  const { kind, partitions } = read.partitionsOf(source);
  const [first] = partitions;
  const same = [
    diskRule(
      "every partition has the source's bytes in the source's place",
      ({ disk }) => {
        const here = read.partitionsOf(disk);
        if (JSON.stringify(here.partitions) !== JSON.stringify(partitions)) return "other partitions";
        const differs = partitions.find(
          ({ start, length }) => !read.bytesAt(source, start, length).equals(read.bytesAt(disk, start, length)),
        );
        return unless(differs === undefined, `the partition at ${differs?.start} differs`);
      },
      ({ disk }) => read.patch(disk, first.start + 1000, Buffer.from("spoilt")),
    ),
    diskRule(
      "the disk is no smaller",
      ({ disk }) => unless(statSync(disk).size >= statSync(source).size, "it is smaller"),
      ({ disk }) => read.resize(disk, statSync(source).size - 512),
    ),
  ];
  if (kind !== "GPT") return same;
  const second = diskRule(
    "the second GPT is at the end of the disk",
    ({ disk }) => unless(read.partitionsOf(disk).secondHeaderIsLast, "the last sector is no GPT header"),
    ({ disk }) => read.resize(disk, statSync(disk).size + GIB),
  );
  return [...same, second];
}
