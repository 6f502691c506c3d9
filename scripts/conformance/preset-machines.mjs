/** What hypervisors document about the disks that they take. Sources: the files of the same names in src/presets. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { qcow2 } from "./preset-clouds.mjs";
import * as read from "./preset-readers.mjs";
import { diskRule, MIB, named, replaceText, rule, TIB, u32, u64, unless } from "./preset-rule.mjs";

const ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const stream = read.vmdkHeader;

const NO_PARENT = "ffffffff";
const orphan = (descriptor) =>
  rule(
    "its descriptor names no parent",
    ({ path }) => unless(descriptor(path).settings.parentCID === NO_PARENT, "it has a parent"),
    ({ path }) => replaceText(path, `parentCID=${NO_PARENT}`, "parentCID=12345678"),
  );
const flat = ({ path, folder }) => join(folder, read.vmdkDescriptor(path).extents[0]?.name ?? "");
export const esxi = [
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

export const workstation = [
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
export const hyperV1 = [
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
export const hyperV2 = [
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

export const virtualbox = [
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

export const proxmox = [...qcow2, named(/^[A-Za-z0-9.+=_-]+\.(ova|qcow2|raw|vmdk)$/, "web.img")];
export const kvm = [...qcow2, named(/\.(qcow2|img)$/, "web.raw")];

const descriptorPath = ({ folder }) => join(folder, "DiskDescriptor.xml");
const tag = (result, name) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(readFileSync(descriptorPath(result), "utf8"))?.[1];
const editDescriptor = (from, to) => (result) =>
  writeFileSync(descriptorPath(result), readFileSync(descriptorPath(result), "utf8").replace(from, to));
export const parallels = [
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
    ({ path }) => read.patch(path, 36, u64(Math.floor(99e6 / 512))),
  ),
  named(/\.(hds|hdd)$/, "web.dmg"),
];
