import type { Run } from "../core/block-map.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, Extent, Packing, Volume } from "../core/model.ts";
import type { Compute } from "../core/ports.ts";
import { STANDALONE } from "../core/standalone.ts";
import { FREE_MAPS, type FreeMap, identify, PageCache } from "../filesystems/index.ts";
import { type Partition, readPartitions } from "../partitions/index.ts";
import { createDisk, type Disk, requireReadable } from "./disk.ts";
import { mapRuns } from "./walk.ts";

/** A disk without what its file systems mark as free, and what that saves. */
export interface SlimDisk {
  /** The source under a volume of zeros that is asked window by window; nothing is materialised, the source is not touched. */
  readonly disk: Disk;
  readonly fileSystems: readonly SlimFileSystem[];
  /** File systems that stay whole. */
  readonly refused: readonly RefusedFileSystem[];
  /** Bytes of data, as the source's block map has them, that lie in free space. */
  readonly savedBytes: number;
}
/** `partition`: null where the file system fills the disk, without a partition table. Bytes everywhere. */
export interface SlimFileSystem {
  readonly partition: number | null;
  readonly kind: string;
  readonly start: number;
  readonly length: number;
  readonly freeBytes: number;
  readonly savedBytes: number;
  /** Left as they are, because what the file system says about them contradicts itself or cannot be read. */
  readonly doubtfulBytes: number;
}
export interface RefusedFileSystem {
  readonly partition: number | null;
  readonly kind: string;
  readonly why: string;
}

/** A file system at `start` of the disk whose free space is known. */
interface Section {
  readonly partition: number | null;
  readonly start: number;
  readonly length: number;
  readonly map: FreeMap;
}
interface Place extends Pick<Section, "partition" | "start" | "length"> {
  /** What the partition table says that it holds; empty without one. */
  readonly typeId: string;
}
type ReadDisk = (at: number, length: number, signal?: AbortSignal) => Promise<Uint8Array>;

/**
 * Finds the free space of every file system that is known here. Reads partition tables, superblocks and bitmaps (of NTFS the master file
 * table too) and walks the source's map, no data. A file system that is damaged or was not unmounted stays whole and is told in `refused`.
 * All reading is done on this thread: the bitmaps of the slim disk are read in the midst of a conversion.
 */
export async function slimDisk(
  disk: Disk,
  compute: Pick<Compute, "mergeLayers" | "decode" | "crc32c">,
  signal: AbortSignal,
): Promise<SlimDisk> {
  requireReadable(disk);
  const read = diskReader(disk, compute);
  const readHere = (at: number, length: number) => read(at, length, signal);
  const sections: Section[] = [];
  const refused: RefusedFileSystem[] = [];
  const cache = new PageCache();
  const places = await placesOf(disk, readHere);
  for (const place of places) {
    const { partition, start, length } = place;
    const kind = await orNull(async () => (await identify(readHere, start, Math.min(length, disk.size - start)))?.kind ?? null);
    if (kind === null) continue;
    const refuse = (why: string): void => void refused.push({ partition, kind, why });
    const open = FREE_MAPS[kind];
    if (open === undefined) refuse("What is free in it is not known here.");
    else if (start + length > disk.size) refuse("Its partition ends past the end of the disk.");
    else if (places.some((other) => other !== place && overlaps(other, place))) refuse("Its partition and another one overlap.");
    else if (await isComposite(place, readHere)) refuse("It may be a piece of a dynamic disk or RAID, and go on elsewhere.");
    else
      try {
        const readPart = (at: number, count: number, s?: AbortSignal) => read(start + at, count, s);
        const part = { name: nameOf(partition), length, read: readPart, cache };
        sections.push({ ...place, map: await open(part, compute, signal) });
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        refuse(error.message);
      }
  }
  sections.sort((a, b) => a.start - b.start);
  const fileSystems: SlimFileSystem[] = [];
  for (const section of sections) {
    const { partition, start, length, map } = section;
    fileSystems.push({ partition, kind: map.kind, start, length, ...(await sumsOf(disk, section, signal)) });
  }
  return {
    disk: createDisk([freeVolume(disk.size, sections), ...disk.chain], compute.mergeLayers, disk.notes, disk.size),
    fileSystems,
    refused,
    savedBytes: fileSystems.reduce((sum, { savedBytes }) => sum + savedBytes, 0),
  };
}

const nameOf = (partition: number | null): string => (partition === null ? "The disk" : `Partition ${partition}`);
const overlaps = (a: Place, b: Place): boolean => a.start < b.start + b.length && b.start < a.start + a.length;

/** What cannot be read has no known content. */
async function orNull<T>(read: () => Promise<T | null>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof DiskError) return null;
    throw error;
  }
}

/** Where file systems may lie: in the partitions, or, without a table, on the whole disk. */
async function placesOf(disk: Disk, read: ReadDisk): Promise<readonly Place[]> {
  const table = await readPartitions(read, disk.size);
  if (table === null) return [{ partition: null, start: 0, length: disk.size, typeId: "" }];
  const real = ({ start, length, flags }: Partition): boolean => length > 0 && start < disk.size && !flags.includes("extended");
  return table.partitions.filter(real).map(({ number, start, length, typeId }) => ({ partition: number, start, length, typeId }));
}

/** Partitions of dynamic disks and of RAIDs: a file system that begins in one may go on elsewhere. */
const COMPOSITE_TYPES: readonly string[] = ["0x42", "0xfd", "af9b60a0-1431-4f62-bc68-3311714a69ad", "a19d880f-05fc-4d3b-a006-743f0f84911e"];
/** Linux md.4: superblocks of version 0.90 and 1.0 lie at the end, so that a member may look like what the RAID holds. */
const MD_MAGIC = 0xa92b4efc;
const mdPlaces = (length: number): readonly number[] => [
  Math.floor(length / 65536) * 65536 - 65536,
  Math.floor((Math.floor(length / 512) - 16) / 8) * 4096,
];

async function isComposite({ start, length, typeId }: Place, read: ReadDisk): Promise<boolean> {
  if (COMPOSITE_TYPES.includes(typeId)) return true;
  for (const at of mdPlaces(length)) {
    const magic = at < 0 ? null : await orNull(() => read(start + at, 4));
    if (magic !== null && new DataView(magic.buffer, magic.byteOffset).getUint32(0, true) === MD_MAGIC) return true;
  }
  return false;
}

/** Bytes of the disk, read and decoded on this thread; the unit unpacked last is kept. */
function diskReader(disk: Disk, compute: Pick<Compute, "decode">): ReadDisk {
  let kept: { readonly file: ByteSource; readonly at: number; readonly plain: Promise<Uint8Array> } | null = null;
  const unpacked = (file: ByteSource, at: number, packed: number, packing: Packing, signal?: AbortSignal): Promise<Uint8Array> => {
    if (kept?.file === file && kept.at === at) return kept.plain;
    const plain = file.read(at, packed, signal).then((bytes) => compute.decode(packing, bytes));
    const latest = { file, at, plain };
    kept = latest;
    plain.catch(() => {
      if (kept === latest) kept = null;
    });
    return plain;
  };
  const bytesOf = async ({ volume, extent }: Run, signal?: AbortSignal): Promise<Uint8Array | null> => {
    if (extent.kind === "zero") return null;
    const file = disk.chain[volume]?.files[extent.file] as ByteSource;
    if (extent.kind === "raw") return file.read(extent.at, extent.length, signal);
    const plain = await unpacked(file, extent.at, extent.packed, extent, signal);
    return plain.subarray(extent.skip, extent.skip + extent.length);
  };
  return async (start, length, signal) => {
    const out = new Uint8Array(length);
    for (let at = start; at < start + length; ) {
      for (const run of await disk.map(at, start + length - at, signal)) {
        const bytes = await bytesOf(run, signal);
        if (bytes !== null) out.set(bytes, run.extent.start - start);
        at = run.extent.start + run.extent.length;
      }
    }
    return out;
  };
}

/** The free ranges of a section from `from` on, ascending, as places of the disk; `onDoubt` is told the bytes that are in doubt. */
async function* freeRanges({ start, length, map }: Section, signal: AbortSignal, onDoubt: (bytes: number) => void) {
  for (let at = 0; at < length; ) {
    signal.throwIfAborted();
    const { ranges, end, doubtful } = await map.free(at, length - at, signal);
    onDoubt(doubtful);
    yield ranges.map((range) => ({ start: start + range.start, length: range.length }));
    at = end;
  }
}

/** Bytes that are free, and how many of them hold data. One pass over the bitmaps and one over the map, side by side. */
async function sumsOf(disk: Disk, section: Section, signal: AbortSignal) {
  let freeBytes = 0;
  let savedBytes = 0;
  let doubtfulBytes = 0;
  const end = section.start + section.length;
  const data = dataRuns(disk, section.start, end, signal);
  let run = await data.next();
  const onDoubt = (bytes: number): void => {
    doubtfulBytes += bytes;
  };
  for await (const ranges of freeRanges(section, signal, onDoubt))
    for (const { start, length } of ranges) {
      freeBytes += length;
      const stop = start + length;
      while (run.done !== true && run.value.start < stop) {
        const runEnd = run.value.start + run.value.length;
        savedBytes += Math.max(0, Math.min(runEnd, stop) - Math.max(run.value.start, start));
        if (runEnd > stop) break;
        run = await data.next();
      }
    }
  await data.return(undefined);
  return { freeBytes, savedBytes, doubtfulBytes };
}

/** What the map cannot tell because of damage counts as no data: nothing of it is saved. */
async function* dataRuns(disk: Disk, start: number, end: number, signal: AbortSignal) {
  for await (const runs of mapRuns(disk, start, end, signal, () => {}))
    for (const { extent } of runs) if (extent.kind !== "zero") yield extent;
}

/** The volume that holds zeros wherever a section is free, and nothing elsewhere. Sections ascend and do not overlap. */
function freeVolume(size: number, sections: readonly Section[]): Volume {
  return {
    ...STANDALONE,
    format: "free-space",
    variant: "",
    size,
    unit: 0,
    files: [],
    notes: [],
    details: {},
    async extents(start, length, signal) {
      const end = start + length;
      const section = sections.find((candidate) => candidate.start + candidate.length > start);
      if (section === undefined || section.start >= end) return [{ kind: "hole", start, length }];
      if (section.start > start) return [{ kind: "hole", start, length: section.start - start }];
      const stop = Math.min(end, section.start + section.length);
      const answer = await section.map.free(start - section.start, stop - start, signal);
      const extents: Extent[] = [];
      let at = start;
      for (const range of answer.ranges) {
        const from = section.start + range.start;
        if (from > at) extents.push({ kind: "hole", start: at, length: from - at });
        extents.push({ kind: "zero", start: from, length: range.length });
        at = from + range.length;
      }
      const answered = section.start + answer.end;
      if (answered > at) extents.push({ kind: "hole", start: at, length: answered - at });
      return extents;
    },
  };
}
