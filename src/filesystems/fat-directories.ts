// FAT12, FAT16, FAT32: Microsoft, "FAT: General Overview of On-Disk Format" 1.03, "FAT Directory Structure".
import { DiskError } from "../core/errors.ts";
import { bytes, struct, u8, u16 } from "../core/struct.ts";
import type { Part, PartPages } from "./free-map.ts";

const ENTRY = struct("le", {
  DIR_Name: bytes(11),
  DIR_Attr: u8,
  between: bytes(8),
  DIR_FstClusHI: u16,
  times: bytes(4),
  DIR_FstClusLO: u16,
  DIR_FileSize: bytes(4),
});
const END = 0x00;
const DELETED = 0xe5;
const DIRECTORY = 0x10;
/** Of the parts of a long name and of the volume's label: what then looks like a directory is none. */
const VOLUME_ID = 0x08;
/** ".", filled up with spaces. */
const SELF = [0x2e, ...new Array<number>(10).fill(0x20)];
/** So many are enough to see whether the clusters lie where they are looked for. */
const MOST_DIRECTORIES = 64;

/** Where the root directory, or its first cluster, lies in the partition, and where the clusters do. */
export interface FatLayout {
  readonly kind: string;
  readonly rootAt: number;
  readonly rootBytes: number;
  /** Of cluster 2. */
  readonly dataAt: number;
  readonly clusterBytes: number;
  readonly clusters: number;
}

/**
 * Throws `corrupt` unless every directory named in the root directory begins with the entry of itself. A changed BPB_RootEntCnt or
 * BPB_SecPerClus can leave everything plausible but the place of the clusters, and no second copy of them says otherwise.
 */
export async function requireDirectories(layout: FatLayout, pages: PartPages, part: Part, signal?: AbortSignal): Promise<void> {
  const { kind, rootAt, rootBytes, dataAt, clusterBytes, clusters } = layout;
  const root = await pages.bytes(rootAt, rootBytes, signal);
  let seen = 0;
  for (let at = 0; at + ENTRY.bytes <= root.length && root[at] !== END && seen < MOST_DIRECTORIES; at += ENTRY.bytes) {
    const { DIR_Attr: attributes, ...entry } = ENTRY.read(root.subarray(at, at + ENTRY.bytes));
    if (root[at] === DELETED || (attributes & DIRECTORY) === 0 || (attributes & VOLUME_ID) !== 0) continue;
    const cluster = clusterOf(kind, entry);
    const place = dataAt + (cluster - 2) * clusterBytes;
    const isInside = cluster >= 2 && cluster < clusters + 2;
    const first = isInside ? ENTRY.read(await pages.bytes(place, ENTRY.bytes, signal)) : null;
    const isSelf = first !== null && SELF.every((byte, i) => first.DIR_Name[i] === byte) && clusterOf(kind, first) === cluster;
    if (!isSelf) {
      const what = `the directory named at byte ${rootAt + at} does not begin at its cluster ${cluster}, byte ${place}`;
      const why = "BPB_RootEntCnt, BPB_SecPerClus or the directory is wrong";
      throw new DiskError("corrupt", `${part.name}: ${kind}: ${what}: ${why}`, { at: rootAt + at });
    }
    seen++;
  }
}

const clusterOf = (kind: string, entry: { readonly DIR_FstClusHI: number; readonly DIR_FstClusLO: number }): number =>
  entry.DIR_FstClusLO + (kind === "fat32" ? entry.DIR_FstClusHI * 65536 : 0);
