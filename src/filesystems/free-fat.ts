// FAT12, FAT16, FAT32: Microsoft, "FAT: General Overview of On-Disk Format" 1.03. A cluster is free when every copy of the FAT says 0.
import { DiskError } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import { bytes, struct, u8, u16, u32 } from "../core/struct.ts";
import { requireDirectories } from "./fat-directories.ts";
import {
  addRange,
  type FreeMap,
  fieldFaults,
  isPowerOfTwo,
  MOST_RANGES,
  notReliable,
  type OpenFreeMap,
  type Part,
  PartPages,
} from "./free-map.ts";

const BOOT = struct("le", {
  BS_jmpBoot: u8,
  BS_OEMName: bytes(10),
  BPB_BytsPerSec: u16,
  BPB_SecPerClus: u8,
  BPB_RsvdSecCnt: u16,
  BPB_NumFATs: u8,
  BPB_RootEntCnt: u16,
  BPB_TotSec16: u16,
  BPB_Media: u8,
  BPB_FATSz16: u16,
  geometry: bytes(8),
  BPB_TotSec32: u32,
  BPB_FATSz32: u32,
  BPB_ExtFlags: u16,
  BPB_FSVer: u16,
  BPB_RootClus: u32,
  BPB_FSInfo: u16,
  boot: bytes(460),
  signature: u16,
});
type Boot = ReturnType<typeof BOOT.read>;
const SIGNATURE = 0xaa55;
const MOST_FAT12_CLUSTERS = 4084;
const MOST_FAT16_CLUSTERS = 65524;
const MOST_FAT32_CLUSTERS = 0x0ffffff5;
/** Where Windows and Linux note that the volume is in use, and the mark before the volume's id that says that these bytes mean it. */
const DIRTY_AT = { fat12: 37, fat16: 37, fat32: 65 } as const;
const DIRTY_BITS = 3;
const EXTENDED_MARKS = [0x28, 0x29];
/** Of entry 1: shut down cleanly, and no disk errors. FAT12 has no room for them. */
const CLEAN_BITS = { fat12: 0, fat16: 0xc000, fat32: 0x0c000000 } as const;
const ENTRY_BITS = { fat12: 0xfff, fat16: 0xffff, fat32: 0x0fffffff } as const;

type Bits = 12 | 16 | 32;
interface Geometry {
  readonly kind: "fat12" | "fat16" | "fat32";
  readonly bits: Bits;
  readonly clusterBytes: number;
  readonly clusters: number;
  /** Of the root directory; FAT32: of its first cluster. */
  readonly rootAt: number;
  readonly rootBytes: number;
  /** Of cluster 2, the first. */
  readonly dataAt: number;
  /** Where each copy of the FAT lies. */
  readonly tables: readonly number[];
}

const END_OF_CHAIN = 0xff8;
const FREE = 0;
const IN_USE = 1;
const DOUBTFUL = 2;

/** Clusters looked at in one step; a multiple of two, so that a step of FAT12 begins on a byte. */
const STEP = 32768;
/** One answer goes through no more clusters than this. */
const MOST_CLUSTERS = 4 << 20;

export const openFatFree: OpenFreeMap = async (part, _compute, signal) => {
  const pages = new PartPages(part);
  const sector = await pages.bytes(0, BOOT.bytes, signal);
  const boot = BOOT.read(sector);
  const geometry = geometryOf(boot, part);
  const map = new FatFreeMap(geometry, pages);
  if (geometry.tables.length === 1)
    throw notReliable(geometry.kind, part, "it has one FAT only: nothing would show that a file's entries were lost");
  const dirtyAt = DIRTY_AT[geometry.kind];
  const isMarked = EXTENDED_MARKS.includes(sector[dirtyAt + 1] as number);
  if (isMarked && ((sector[dirtyAt] as number) & DIRTY_BITS) !== 0) throw notReliable(geometry.kind, part, UNCLEAN);
  await requireClean(geometry, boot, map, part, signal);
  await requireDirectories(geometry, pages, part, signal);
  return map;
};

const UNCLEAN = "it was not unmounted cleanly: it has to be checked (chkdsk, fsck.fat) first";

function geometryOf(boot: Boot, part: Part): Geometry {
  const wrong = fieldFaults("fat", part, BOOT, 0);
  const sector = boot.BPB_BytsPerSec;
  if (boot.signature !== SIGNATURE) throw wrong("signature", boot.signature, String(SIGNATURE));
  if (boot.BS_jmpBoot !== 0xeb && boot.BS_jmpBoot !== 0xe9) throw wrong("BS_jmpBoot", boot.BS_jmpBoot, "235 or 233");
  if (![512, 1024, 2048, 4096].includes(sector)) throw wrong("BPB_BytsPerSec", sector, "512, 1024, 2048 or 4096");
  if (!isPowerOfTwo(boot.BPB_SecPerClus)) throw wrong("BPB_SecPerClus", boot.BPB_SecPerClus, "a power of two");
  if (boot.BPB_RsvdSecCnt === 0) throw wrong("BPB_RsvdSecCnt", 0, "at least 1");
  if (boot.BPB_NumFATs === 0 || boot.BPB_NumFATs > 4) throw wrong("BPB_NumFATs", boot.BPB_NumFATs, "1 to 4");
  if (boot.BPB_Media !== 0xf0 && boot.BPB_Media < 0xf8) throw wrong("BPB_Media", boot.BPB_Media, "240, or 248 to 255");
  const is32 = boot.BPB_FATSz16 === 0;
  if (boot.BPB_TotSec16 !== 0 && boot.BPB_TotSec32 !== 0 && boot.BPB_TotSec32 !== boot.BPB_TotSec16)
    throw wrong("BPB_TotSec16", boot.BPB_TotSec16, `0 or ${boot.BPB_TotSec32}`);
  const sectors = boot.BPB_TotSec16 || boot.BPB_TotSec32;
  if (sectors * sector > part.length)
    throw wrong(boot.BPB_TotSec16 !== 0 ? "BPB_TotSec16" : "BPB_TotSec32", sectors, `at most ${Math.floor(part.length / sector)}`);
  if (is32 && boot.BPB_RootEntCnt !== 0) throw wrong("BPB_RootEntCnt", boot.BPB_RootEntCnt, "0 in FAT32");
  if (!is32 && (boot.BPB_RootEntCnt === 0 || (boot.BPB_RootEntCnt * 32) % sector !== 0))
    throw wrong("BPB_RootEntCnt", boot.BPB_RootEntCnt, "whole sectors of root directory");
  if (is32 && boot.BPB_FSVer !== 0) throw wrong("BPB_FSVer", boot.BPB_FSVer, "0");
  const tableSectors = boot.BPB_FATSz16 || boot.BPB_FATSz32;
  const dataSector = boot.BPB_RsvdSecCnt + boot.BPB_NumFATs * tableSectors + (boot.BPB_RootEntCnt * 32) / sector;
  const clusters = Math.floor((sectors - dataSector) / boot.BPB_SecPerClus);
  const sizeField = is32 ? "BPB_FATSz32" : "BPB_FATSz16";
  const most = is32 ? MOST_FAT32_CLUSTERS : MOST_FAT16_CLUSTERS;
  if (tableSectors === 0 || clusters < 1 || clusters > most)
    throw wrong(sizeField, tableSectors, `a table that leaves 1 to ${most} clusters`);
  const bits = is32 ? 32 : clusters > MOST_FAT12_CLUSTERS ? 16 : 12;
  const needed = Math.ceil(((clusters + 2) * bits) / 8);
  if (tableSectors * sector < needed) throw wrong(sizeField, tableSectors, `room for the entries of ${clusters} clusters`);
  if (is32 && (boot.BPB_RootClus < 2 || boot.BPB_RootClus >= clusters + 2))
    throw wrong("BPB_RootClus", boot.BPB_RootClus, `2 to ${clusters + 1}`);
  const clusterBytes = boot.BPB_SecPerClus * sector;
  const dataAt = dataSector * sector;
  const rootBytes = is32 ? clusterBytes : boot.BPB_RootEntCnt * 32;
  return {
    kind: `fat${bits}`,
    bits,
    clusterBytes,
    clusters,
    rootAt: is32 ? dataAt + (boot.BPB_RootClus - 2) * clusterBytes : dataAt - rootBytes,
    rootBytes,
    dataAt,
    tables: Array.from({ length: boot.BPB_NumFATs }, (_, i) => (boot.BPB_RsvdSecCnt + i * tableSectors) * sector),
  };
}

/** Entry 0 repeats the media byte; entry 1 is an end of chain in which two flags are cleared while the volume is in use. */
async function requireClean(geometry: Geometry, boot: Boot, map: FatFreeMap, part: Part, signal?: AbortSignal): Promise<void> {
  const { kind, tables } = geometry;
  const media = ENTRY_BITS[kind] - 0xff + boot.BPB_Media;
  const corrupt = (text: string, at: number): DiskError => new DiskError("corrupt", `${part.name}: ${kind}: ${text}`, { at });
  for (const [copy, at] of tables.entries()) {
    const [first = 0, second = 0] = await map.entries(copy, 0, 2, signal);
    if (first !== media) throw corrupt(`entry 0 of the FAT at byte ${at} is ${first}, expected ${media}`, at);
    if ((second & END_OF_CHAIN) !== END_OF_CHAIN)
      throw corrupt(`entry 1 of the FAT at byte ${at} is ${second}, expected an end of chain`, at);
    if ((second & CLEAN_BITS[kind]) !== CLEAN_BITS[kind]) throw notReliable(kind, part, UNCLEAN);
  }
  if (kind !== "fat32") return;
  const { ranges } = await map.free(geometry.rootAt, geometry.clusterBytes, signal);
  if (ranges.length > 0) throw corrupt(`BPB_RootClus is ${boot.BPB_RootClus}, which the FAT says is free`, BOOT.offsetOf("BPB_RootClus"));
}

class FatFreeMap implements FreeMap {
  readonly kind: string;
  readonly unit: number;
  private readonly geometry: Geometry;
  private readonly pages: PartPages;

  constructor(geometry: Geometry, pages: PartPages) {
    this.kind = geometry.kind;
    this.unit = geometry.clusterBytes;
    this.geometry = geometry;
    this.pages = pages;
  }

  async free(start: number, length: number, signal?: AbortSignal) {
    const { clusters, clusterBytes, dataAt } = this.geometry;
    const ranges: Range[] = [];
    const stop = start + length;
    const first = Math.max(0, Math.floor((start - dataAt) / clusterBytes));
    const end = Math.min(clusters, Math.ceil((stop - dataAt) / clusterBytes), first + MOST_CLUSTERS);
    let doubtful = 0;
    for (let cluster = Math.floor(first / STEP) * STEP; cluster < end; cluster += STEP) {
      const from = dataAt + cluster * clusterBytes;
      if (ranges.length > MOST_RANGES && from > start) return { ranges, end: from, doubtful };
      const most = Math.min(STEP, clusters - cluster);
      const marks = await this.marks(cluster, most, signal);
      for (let i = Math.max(0, first - cluster); i < Math.min(most, end - cluster); i++) {
        const range = { start: from + i * clusterBytes, length: clusterBytes };
        if (marks[i] === FREE) addRange(ranges, range, start, stop);
        else if (marks[i] === DOUBTFUL) doubtful += clusterBytes;
      }
    }
    const isAll = end === clusters || dataAt + end * clusterBytes >= stop;
    return { ranges, end: isAll ? stop : dataAt + end * clusterBytes, doubtful };
  }

  /** FREE, IN_USE or DOUBTFUL for `count` clusters, the first of the disk's being number 0 here. */
  private async marks(cluster: number, count: number, signal?: AbortSignal): Promise<Uint8Array> {
    const marks = new Uint8Array(count);
    try {
      for (let copy = 0; copy < this.geometry.tables.length; copy++) {
        const entries = await this.entries(copy, cluster + 2, count, signal);
        for (let i = 0; i < count; i++) {
          const mark = entries[i] === 0 ? FREE : IN_USE;
          marks[i] = copy === 0 || marks[i] === mark ? mark : DOUBTFUL;
        }
      }
      return marks;
    } catch (error) {
      if (error instanceof DiskError) return marks.fill(DOUBTFUL);
      throw error;
    }
  }

  /** `count` entries of a copy of the FAT from `first` on, an even number. */
  async entries(copy: number, first: number, count: number, signal?: AbortSignal): Promise<Uint32Array> {
    const { bits, kind, tables } = this.geometry;
    const bytes = await this.pages.bytes((tables[copy] as number) + (first * bits) / 8, Math.ceil((count * bits) / 8), signal);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const entries = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      if (bits === 32) entries[i] = view.getUint32(i * 4, true) & ENTRY_BITS[kind];
      else if (bits === 16) entries[i] = view.getUint16(i * 2, true);
      else {
        // Two entries in three bytes.
        const at = Math.floor((i * 3) / 2);
        const low = bytes[at] as number;
        const high = bytes[at + 1] as number;
        entries[i] = i % 2 === 0 ? low + ((high & 0xf) << 8) : (low >> 4) + (high << 4);
      }
    }
    return entries;
  }
}
