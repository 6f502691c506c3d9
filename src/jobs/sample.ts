import type { Compute } from "../core/ports.ts";
import { bytes, struct, u8, u16, u32 } from "../core/struct.ts";
import { formatById } from "../formats/registry.ts";
import { readOptions, targetOf } from "./target.ts";

// A 16 MiB disk: an MBR with one FAT12 partition that holds a text file.
// References
// - [MBR] UEFI specification 2.10, §5.2.1 (legacy master boot record)
// - [FAT] Microsoft FAT specification, 2005-08-30, §3 (boot sector), §6 (directory entries)

const SECTOR = 512;
const DISK_SECTORS = 32768;
const PARTITION_AT = 2048;
const SECTORS_PER_CLUSTER = 8;
const FAT_SECTORS = 12;
const ROOT_ENTRIES = 512;
const TEXT = `This disk was made by Spindle, on this page, as something to try things on.\r\n`;

const PartitionEntry = struct("le", { boot: u8, firstChs: bytes(3), type: u8, lastChs: bytes(3), first: u32, sectors: u32 });
/** [FAT] §3.1 and §3.2: BPB and its FAT12/16 extension. */
const BootSector = struct("le", {
  jump: bytes(3),
  oem: bytes(8),
  bytesPerSector: u16,
  sectorsPerCluster: u8,
  reservedSectors: u16,
  fats: u8,
  rootEntries: u16,
  totalSectors16: u16,
  media: u8,
  fatSectors: u16,
  sectorsPerTrack: u16,
  heads: u16,
  hiddenSectors: u32,
  totalSectors32: u32,
  drive: u8,
  reserved: u8,
  bootSignature: u8,
  volumeId: u32,
  label: bytes(11),
  fileSystem: bytes(8),
});
const DirectoryEntry = struct("le", { name: bytes(11), attributes: u8, reserved: bytes(14), cluster: u16, size: u32 });

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** The disk's sectors that are not zero, by sector number. */
function sampleSectors(): Map<number, Uint8Array> {
  const partitionSectors = DISK_SECTORS - PARTITION_AT;
  const chs = new Uint8Array([0xfe, 0xff, 0xff]);
  const entry = PartitionEntry.write({ boot: 0, firstChs: chs, type: 0x01, lastChs: chs, first: PARTITION_AT, sectors: partitionSectors });
  const boot = BootSector.write({
    jump: new Uint8Array([0xeb, 0x3c, 0x90]),
    oem: text("SPINDLE "),
    bytesPerSector: SECTOR,
    sectorsPerCluster: SECTORS_PER_CLUSTER,
    reservedSectors: 1,
    fats: 2,
    rootEntries: ROOT_ENTRIES,
    totalSectors16: partitionSectors,
    media: 0xf8,
    fatSectors: FAT_SECTORS,
    sectorsPerTrack: 63,
    heads: 16,
    hiddenSectors: PARTITION_AT,
    totalSectors32: 0,
    drive: 0x80,
    reserved: 0,
    bootSignature: 0x29,
    volumeId: 0x5b1d1e00,
    label: text("SAMPLE     "),
    fileSystem: text("FAT12   "),
  });
  // Entries 0 and 1 are reserved; cluster 2, the file's only one, ends its chain. [FAT] §4
  const fat = new Uint8Array([0xf8, 0xff, 0xff, 0xff, 0x0f]);
  const none = new Uint8Array(14);
  const label = DirectoryEntry.write({ name: text("SAMPLE     "), attributes: 0x08, reserved: none, cluster: 0, size: 0 });
  const file = DirectoryEntry.write({ name: text("README  TXT"), attributes: 0x20, reserved: none, cluster: 2, size: TEXT.length });
  const root = PARTITION_AT + 1 + 2 * FAT_SECTORS;
  const data = root + (ROOT_ENTRIES * DirectoryEntry.bytes) / SECTOR;
  const signature = [0x55, 0xaa];
  return new Map([
    [0, sector([0, text("")], [0x1be, entry], [510, signature])],
    [PARTITION_AT, sector([0, boot], [510, signature])],
    [PARTITION_AT + 1, sector([0, fat])],
    [PARTITION_AT + 1 + FAT_SECTORS, sector([0, fat])],
    [root, sector([0, label], [DirectoryEntry.bytes, file])],
    [data, sector([0, text(TEXT)])],
  ]);
}

function sector(...parts: readonly (readonly [number, ArrayLike<number>])[]): Uint8Array {
  const out = new Uint8Array(SECTOR);
  for (const [at, part] of parts) out.set(part, at);
  return out;
}

/** A small disk to try things on, as the pieces of a VMDK file. */
export function createSample(compute: Compute, name = "sample.vmdk"): Uint8Array[] {
  const target = targetOf(formatById("vmdk"));
  const options = readOptions(target, { subformat: "monolithicSparse" });
  const writer = target.create({ size: DISK_SECTORS * SECTOR, name, options, identity: text("spindle sample  ") }, compute);
  const blocks = new Map<number, Uint8Array>();
  for (const [number, content] of sampleSectors()) {
    const index = Math.floor((number * SECTOR) / writer.unit);
    const block = blocks.get(index) ?? new Uint8Array(writer.unit);
    block.set(content, (number * SECTOR) % writer.unit);
    blocks.set(index, block);
  }
  const writes = [...blocks].sort(([a], [b]) => a - b).flatMap(([index, block]) => [...writer.put(index, { kind: "data", bytes: block })]);
  const end = writer.end();
  const image = new Uint8Array(end.sizes[0] as number);
  for (const write of [...writes, ...end.writes]) image.set(write.bytes, write.at);
  return [image];
}
