import { DiskError, unlessDamaged } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import { createOverlay, type Patch } from "../core/overlay.ts";
import type { BlockPool, Compute } from "../core/ports.ts";
import type { Loss } from "../core/target.ts";
import { extentOf, type FileSystemExtent, type FileSystemIdentity, identify } from "../filesystems/index.ts";
import {
  foreignTable,
  type MbrTable,
  type Partition,
  type ReadBytes,
  readMbr,
  resizedGpt,
  type SoundGpt,
  soundGpt,
} from "../partitions/index.ts";
import { attachDisk, createDisk, type Disk, requireReadable } from "./disk.ts";
import { readDisk } from "./read.ts";
import { mapRuns } from "./walk.ts";

/** How small a disk may safely become. It may be larger than the disk is: then something was cut off earlier. */
export interface SafeSize {
  /** Bytes, whole sectors. */
  readonly smallest: number;
  /** What limits it, as one or more sentences. */
  readonly because: string;
  /** A size must be a multiple of this: 512 or 4096 bytes. */
  readonly sector: number;
  /** What is not in order about the disk's end already. */
  readonly warnings: readonly string[];
}

export interface ResizedDisk {
  readonly disk: Disk;
  /** What was changed, and what it means for the machine; no blockers. */
  readonly changes: readonly Loss[];
}

const SECTOR = 512;
const LARGE_SECTOR = 4096;
/** An MBR counts sectors in 32 bits. */
const MBR_SECTORS = 2 ** 32;
/** Windows' dynamic disks keep their database in the last mebibyte, which no entry of an MBR lists. */
const DYNAMIC = "0x42";
/** Of the bytes that are cut, at most so many are looked at. */
const MOST_LOOKED_AT = 64 << 20;
const LOOK_STEP = 4 << 20;

/** What stands on a disk, as far as its size is concerned. */
interface Layout extends SafeSize {
  readonly gpt: SoundGpt | null;
  /** Ends of what an MBR can describe; null: no MBR alone. */
  readonly mbrLimit: number | null;
}

/** Reads a few small places of the disk; of a disk on which nothing is recognised, also its whole map. */
export function safeSize(disk: Disk, pool: BlockPool, signal: AbortSignal): Promise<SafeSize> {
  return withReader(disk, pool, signal, async (read) => {
    const { smallest, because, sector, warnings } = await layoutOf(disk, read, signal);
    return { smallest, because, sector, warnings };
  });
}

/**
 * The same disk with another virtual size, as a volume on top of its chain: a GPT's tables follow the end, nothing else changes; bytes
 * behind the old end are zero. A size that would cut a partition or file system is a `limit` DiskError, one that is not a multiple of
 * the sector size a `usage` one, and a GPT that cannot be moved because it is damaged a `corrupt` one.
 */
export function resizeDisk(
  disk: Disk,
  size: number,
  pool: BlockPool,
  compute: Pick<Compute, "mergeLayers">,
  signal: AbortSignal,
): Promise<ResizedDisk> {
  return withReader(disk, pool, signal, async (read) => {
    if (!Number.isSafeInteger(size) || size <= 0)
      throw new DiskError("usage", `A disk cannot have ${size} bytes: its size is a whole number from ${SECTOR} to 2^53 - 1`);
    const layout = await layoutOf(disk, read, signal);
    requireFit(disk, size, layout);
    const wanted = layout.gpt === null ? [] : resizedGpt(layout.gpt, size);
    const patches: Patch[] = [];
    for (const patch of wanted) if (await isChange(patch, read, disk.size)) patches.push(patch);
    if (size === disk.size && patches.length === 0) return { disk, changes: [] };
    const changes = [...changesOf(disk, size, layout), ...(await cutData(disk, size, layout, read, signal))];
    return { disk: createDisk([createOverlay(size, patches), ...disk.chain], compute.mergeLayers, disk.notes, size), changes };
  });
}

async function withReader<T>(disk: Disk, pool: BlockPool, signal: AbortSignal, job: (read: ReadBytes) => Promise<T>): Promise<T> {
  requireReadable(disk);
  const attached = attachDisk(disk, pool);
  try {
    return await job((at, length) => readDisk(attached, pool, at, length, signal));
  } finally {
    attached.detach();
  }
}

function requireFit(disk: Disk, size: number, { smallest, because, sector, gpt }: Layout): void {
  if (size % sector !== 0) {
    const down = size - (size % sector);
    throw new DiskError(
      "usage",
      `A disk consists of whole sectors, here of ${sector} bytes: ${down} or ${down + sector} bytes, not ${size}`,
    );
  }
  // Without a table to place, a disk that lacks its end already only gains by growing.
  if (size < smallest && (gpt !== null || size < disk.size))
    throw new DiskError("limit", `The disk cannot have ${size} bytes: the smallest safe size is ${smallest} bytes. ${because}`);
}

async function layoutOf(disk: Disk, read: ReadBytes, signal: AbortSignal): Promise<Layout> {
  const gpt = await soundGpt(read, disk.size);
  if (gpt !== null) return gptLayout(disk, gpt, read);
  const mbr = await readMbr(read, disk.size);
  if (mbr !== null && mbr.partitions.length > 0) {
    const isScaled = mbr.sector === SECTOR && (await countsLargeSectors(disk, mbr.partitions, read));
    const { partitions, unused } = mbr;
    return isScaled
      ? mbrLayout(disk, { ...mbr, sector: LARGE_SECTOR, partitions: partitions.map(scaled), unused: unused.map(scaled) }, read)
      : mbrLayout(disk, mbr, read);
  }
  const foreign = await foreignTable(read, disk.size);
  if (foreign !== null) return endLayout(disk, `The disk has ${foreign}, whose partitions are not read here.`);
  // A boot loader's sector without entries may stand in front of a file system.
  const whole = await identify(read, 0, disk.size);
  if (whole !== null) return wholeLayout(disk, whole, read);
  return mbr === null ? unknownLayout(disk, signal) : mbrLayout(disk, mbr, read);
}

async function gptLayout(disk: Disk, gpt: SoundGpt, read: ReadBytes): Promise<Layout> {
  const { sector, partitions, backupBytes, doubt } = gpt;
  const systems = await systemsOn(disk, partitions, read);
  const last = lastOf(partitions);
  const limit = last === null || last.start + last.length < gpt.end ? null : lastPartition(disk, last, systems);
  const outgrown = outgrownSystem(disk, gpt.end, systems);
  const warnings = [...gpt.repairs, ...gpt.remarks, ...(limit?.warnings ?? []), ...outgrownWarnings(systems, outgrown)];
  const smallest = gpt.end + backupBytes;
  const behind = `Behind it the backup GPT needs ${backupBytes} bytes.`;
  const fixed = { sector, warnings, gpt, mbrLimit: null };
  if (doubt !== null)
    return { ...fixed, smallest: Math.max(smallest, disk.size), because: `${doubt} With such a table the disk can only grow.` };
  if (outgrown !== null) {
    // A backup at the disk's end can stay there, whatever the file system says of that place: it has lost it already.
    const isAtEnd = gpt.backups.some(({ start, length }) => start + length > disk.size - sector);
    const most = wholeSectors(disk.size, sector) + (isAtEnd ? 0 : backupBytes);
    const needed = wholeSectors(outgrown.end, sector) + backupBytes;
    return { ...fixed, smallest: Math.max(smallest, Math.min(needed, most)), because: `${outgrown.because} ${behind}` };
  }
  if (limit !== null) return { ...fixed, smallest, because: `${limit.end} ${behind}${limit.advice}` };
  const end = last === null ? "The table lists no partition; its first copy and one sector to be used" : "What the hybrid MBR lists";
  return { ...fixed, smallest, because: `${end} end at byte ${gpt.end}. ${behind}` };
}

async function mbrLayout(disk: Disk, { partitions, unused, sector, doubt }: MbrTable, read: ReadBytes): Promise<Layout> {
  const fixed = { sector, gpt: null, mbrLimit: MBR_SECTORS * sector };
  const stay = (because: string): Layout => ({ ...fixed, smallest: wholeSectors(disk.size, sector), because, warnings: [] });
  if (partitions.some(({ typeId }) => typeId === DYNAMIC))
    return stay("Windows keeps the database of a dynamic disk in its last mebibyte.");
  // The protective entry of a GPT that is not there says nothing about where data ends.
  if (partitions.some(({ typeId }) => typeId === "0xee"))
    return stay("The boot record announces a GPT, but there is none: what lies where is not known.");
  if (doubt !== null) return stay(`${doubt} With such a table the disk can only grow.`);
  const all = [...partitions, ...unused];
  const last = partitions.length === 0 ? null : lastOf(all);
  if (last === null) return stay("The boot record lists no partition: what lies where is not known.");
  const systems = await systemsOn(disk, all, read);
  const { end, advice, warnings } = lastPartition(disk, last, systems);
  const smallest = Math.max(last.start + last.length, sector);
  const outgrown = outgrownSystem(disk, smallest, systems);
  const because = outgrown === null ? end + advice : outgrown.because;
  const needed = outgrown === null ? 0 : wholeSectors(Math.min(outgrown.end, disk.size), sector);
  return { ...fixed, smallest: Math.max(smallest, needed), because, warnings: [...warnings, ...outgrownWarnings(systems, outgrown)] };
}

/** Up to its end the disk may be in use. */
const endLayout = (disk: Disk, because: string): Layout => {
  const fixed = { sector: SECTOR, gpt: null, mbrLimit: null, warnings: [] };
  return { ...fixed, smallest: wholeSectors(disk.size, SECTOR), because };
};

async function wholeLayout(disk: Disk, whole: FileSystemIdentity, read: ReadBytes): Promise<Layout> {
  const fixed = { sector: SECTOR, gpt: null, mbrLimit: null };
  const extent = await extentOf(whole.kind, read, 0, disk.size);
  if (extent === null)
    return endLayout(disk, `The disk has no partitions but ${whole.name}, of which everything up to the disk's end may be in use.`);
  const because = `The disk has no partitions but one file system, ${extent.what}, of ${extent.length} bytes.`;
  const warnings = extent.doubt === null ? [] : [`${extent.what}: ${extent.doubt}`];
  if (extent.length > disk.size)
    warnings.push(`The file system (${extent.what}) has ${extent.length} bytes, the disk only ${disk.size}: its end was cut off.`);
  return { ...fixed, smallest: wholeSectors(extent.length, SECTOR), because, warnings };
}

async function unknownLayout(disk: Disk, signal: AbortSignal): Promise<Layout> {
  let end = 0;
  for await (const runs of mapRuns(disk, 0, disk.size, signal))
    for (const { extent } of runs) if (extent.kind !== "zero") end = extent.start + extent.length;
  const because = `Neither partitions nor a file system are recognised: only what the image holds as zeros or not at all can be cut, and its last data ends at byte ${end}.`;
  return { smallest: wholeSectors(Math.max(end, 1), SECTOR), because, sector: SECTOR, warnings: [], gpt: null, mbrLimit: null };
}

const wholeSectors = (bytes: number, sector: number): number => Math.ceil(bytes / sector) * sector;

const lastOf = (partitions: readonly Partition[]): Partition | null =>
  partitions.toSorted((a, b) => b.start + b.length - a.start - a.length || b.start - a.start)[0] ?? null;

/** What is recognised in a partition, or where the disk begins. */
interface System {
  /** Null: the disk itself, beside its partition table. */
  readonly partition: Partition | null;
  readonly start: number;
  readonly name: string;
  /** Null: of this kind no size is read. */
  readonly extent: FileSystemExtent | null;
}

/** What lies in the partitions; and where the disk begins, for a file system made over a table leaves the boot record at times. */
async function systemsOn(disk: Disk, partitions: readonly Partition[], read: ReadBytes): Promise<readonly System[]> {
  const systems: System[] = [];
  for (const partition of partitions) {
    const found = await lookInside(disk, partition, read);
    if (found !== null) systems.push({ ...found, partition, start: partition.start });
  }
  const whole = partitions.some(({ start }) => start === 0) ? null : await systemIn(disk, 0, disk.size, read);
  return whole === null ? systems : [...systems, { ...whole, partition: null, start: 0 }];
}

interface Outgrown {
  readonly end: number;
  readonly because: string;
  /** It lies beside the partitions, not in one. */
  readonly isBeside: boolean;
}

/** The file system that ends last, if that is behind `end`, where the partitions do. Its own end may lie behind the disk's. */
function outgrownSystem(disk: Disk, end: number, systems: readonly System[]): Outgrown | null {
  const endOf = ({ start, extent }: System): number => start + (extent?.length ?? 0);
  const furthest = systems.reduce<System | null>((most, next) => (endOf(next) > (most === null ? end : endOf(most)) ? next : most), null);
  if (furthest === null) return null;
  const { partition, name } = furthest;
  const past = endOf(furthest) > disk.size ? `, past the end of the disk (${disk.size})` : "";
  const because =
    partition === null
      ? `Beside its partitions the disk begins with a file system (${name}) that ends at byte ${endOf(furthest)}${past}: either may be left over.`
      : `The file system in partition ${partition.number} (${name}) ends at byte ${endOf(furthest)}${past}, though its partition ends at byte ${partition.start + partition.length}.`;
  return { end: endOf(furthest), because, isBeside: partition === null };
}

/** Which file systems are larger than their partitions, and one that has no partition but counts. */
function outgrownWarnings(systems: readonly System[], outgrown: Outgrown | null): string[] {
  const warnings = systems.flatMap(({ partition, extent }) =>
    partition === null || extent === null || extent.length <= partition.length
      ? []
      : [
          `The file system in partition ${partition.number} (${extent.what}) has ${extent.length} bytes, the partition only ${partition.length}.`,
        ],
  );
  return outgrown?.isBeside ? [...warnings, outgrown.because] : warnings;
}

interface LastPartition {
  /** Where it ends, as a sentence. */
  readonly end: string;
  /** What the user could do, as a sentence with a space before it; or nothing. */
  readonly advice: string;
  readonly warnings: readonly string[];
}

/** What to tell of the partition that ends last: nothing in it is cut, though its file system may need less. */
function lastPartition(disk: Disk, partition: Partition, systems: readonly System[]): LastPartition {
  const { number, start, length, name } = partition;
  const stop = start + length;
  const warnings: string[] = [];
  if (stop > disk.size)
    warnings.push(`Partition ${number} ends at byte ${stop}, past the end of the disk (${disk.size}): its end was cut off.`);
  const inside = systems.find((system) => system.partition === partition);
  const words = [name === "" ? "" : `“${name}”`, inside?.name ?? partition.type].filter((word) => word !== "").join(", ");
  const end = `Partition ${number} (${words}) ends at byte ${stop}.`;
  const extent = inside?.extent ?? null;
  if (extent === null) return { end, advice: "", warnings };
  if (extent.doubt !== null) warnings.push(`Partition ${number}, ${extent.what}: ${extent.doubt}`);
  const isSmaller = length - extent.length >= 1 << 20;
  const advice = ` Its file system needs only ${extent.length} of its ${length} bytes: a smaller partition, made by the guest's own tools, would allow less.`;
  return { end, advice: isSmaller ? advice : "", warnings };
}

/** The file system in a partition; null: none is recognised, or the image is damaged there (the partition's end is the limit in any case). */
async function lookInside(disk: Disk, { start, length, flags }: Partition, read: ReadBytes) {
  if (start >= disk.size || flags.includes("extended")) return null;
  return systemIn(disk, start, Math.min(length, disk.size - start), read);
}

async function systemIn(disk: Disk, start: number, length: number, read: ReadBytes) {
  const found = await unlessDamaged(identify(read, start, length));
  // Where it is larger than its partition, what proves its size lies behind that.
  return found && { name: found.name, extent: await unlessDamaged(extentOf(found.kind, read, start, disk.size - start)) };
}

/** An MBR does not say how large its sectors are: where the file systems lie does. */
async function countsLargeSectors(disk: Disk, partitions: readonly Partition[], read: ReadBytes): Promise<boolean> {
  const real = partitions.filter(({ flags }) => !flags.includes("extended"));
  for (const partition of real) if ((await lookInside(disk, partition, read)) !== null) return false;
  const large = real.map(scaled);
  if (large.some(({ start, length }) => start + length > disk.size)) return false;
  for (const partition of large) if ((await lookInside(disk, partition, read)) !== null) return true;
  return false;
}
const scaled = (partition: Partition): Partition => ({
  ...partition,
  start: partition.start * (LARGE_SECTOR / SECTOR),
  length: partition.length * (LARGE_SECTOR / SECTOR),
});

async function isChange({ start, length, bytes }: Patch, read: ReadBytes, diskSize: number): Promise<boolean> {
  if (bytes === null || start + length > diskSize) return true;
  const now = await unlessDamaged(read(start, length));
  return now === null || now.some((byte, i) => byte !== bytes[i]);
}

function changesOf(disk: Disk, size: number, { gpt, mbrLimit, warnings }: Layout): Loss[] {
  const changes: Loss[] = [];
  if (size !== disk.size)
    changes.push({
      what: `The disk ${size > disk.size ? "grows" : "shrinks"} from ${disk.size} to ${size} bytes`,
      why: meaning(disk, size, gpt),
      severity: "note",
    });
  const why =
    gpt === null ? "It is so in the source already." : "The tables of the new disk are made anew; partitions and data stay as they are.";
  for (const what of warnings) changes.push({ what, why, severity: "warning" });
  if (mbrLimit !== null && size > mbrLimit)
    changes.push({
      what: `Partitions cannot use the space behind byte ${mbrLimit}`,
      why: "An MBR counts sectors in 32 bits. The guest's tools can turn it into a GPT.",
      severity: "warning",
    });
  return changes;
}

function meaning(disk: Disk, size: number, gpt: SoundGpt | null): string {
  const table =
    gpt === null
      ? "No partition table says how large the disk is, so nothing on it changes."
      : "The backup GPT moves to the new end, and the GPT and the protective MBR state the new size.";
  return size > disk.size
    ? `${table} The new space is empty: the guest's own tools can enlarge a partition and its file system into it.`
    : table;
}

/** Data where the disk is cut, besides the backup GPT: nothing on the disk says what it is. */
async function cutData(disk: Disk, size: number, { gpt }: Layout, read: ReadBytes, signal: AbortSignal): Promise<Loss[]> {
  const first = await unlessDamaged(firstData(disk, size, gpt?.backups ?? [], read, signal));
  if (first === "none") return [];
  const why = "The image holds data there, outside all partitions and file systems; what it is, is not known.";
  if (typeof first === "number") return [{ what: `Data from byte ${first} on is cut off`, why, severity: "warning" }];
  return [{ what: "Whether all of what is cut is zero was not looked at", why, severity: "note" }];
}

/** The first byte from `from` on that is not zero, besides `known` places; null: none as far as was looked. */
async function firstData(
  disk: Disk,
  from: number,
  known: readonly Range[],
  read: ReadBytes,
  signal: AbortSignal,
): Promise<number | "none" | null> {
  let looked = 0;
  for await (const runs of mapRuns(disk, from, disk.size, signal))
    for (const { extent } of runs) {
      if (extent.kind === "zero") continue;
      const end = extent.start + extent.length;
      for (let at = extent.start; at < end; at += LOOK_STEP) {
        if (looked >= MOST_LOOKED_AT) return null;
        const bytes = await read(at, Math.min(LOOK_STEP, end - at));
        for (const { start, length } of known) bytes.fill(0, Math.max(0, start - at), Math.max(0, start + length - at));
        const first = bytes.findIndex((byte) => byte !== 0);
        if (first >= 0) return at + first;
        looked += bytes.length;
      }
    }
  return "none";
}
