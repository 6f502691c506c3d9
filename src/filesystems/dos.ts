// The file systems whose boot sector carries a BIOS parameter block.
// - FAT: Microsoft, "FAT: General Overview of On-Disk Format" 1.03
// - exFAT: https://learn.microsoft.com/windows/win32/fileio/exfat-specification
// - NTFS: https://flatcap.github.io/linux-ntfs/ntfs/
import { serial, text, viewOf, type Window } from "./window.ts";

export interface Identity {
  /** Set when the superblock says more than the magic ("ext3"). */
  readonly kind?: string;
  readonly label: string;
  /** As blkid prints it; null: the file system has none, or it is not read here. */
  readonly uuid: string | null;
}

const isPowerOfTwo = (n: number): boolean => n > 0 && (n & (n - 1)) === 0;

/** FAT12, FAT16, FAT32: a magic is missing, so the parameter block must make sense. Null when it does not. */
export async function fat(window: Window): Promise<Identity | null> {
  const boot = await window.bytes(0, 512);
  if (boot === null || !(boot[0] === 0xeb || boot[0] === 0xe9) || boot[510] !== 0x55 || boot[511] !== 0xaa) return null;
  const view = viewOf(boot);
  const sector = view.getUint16(11, true);
  const cluster = view.getUint8(13);
  const reserved = view.getUint16(14, true);
  const fats = view.getUint8(16);
  const rootEntries = view.getUint16(17, true);
  const media = view.getUint8(21);
  if (![512, 1024, 2048, 4096].includes(sector) || !isPowerOfTwo(cluster) || reserved === 0 || fats === 0 || fats > 4) return null;
  if (media !== 0xf0 && media < 0xf8) return null;
  const fatSectors = view.getUint16(22, true) || view.getUint32(36, true);
  const sectors = view.getUint16(19, true) || view.getUint32(32, true);
  const rootSectors = Math.ceil((rootEntries * 32) / sector);
  const dataAt = reserved + fats * fatSectors + rootSectors;
  const clusters = Math.floor((sectors - dataAt) / cluster);
  if (fatSectors === 0 || clusters < 1) return null;
  const is32 = view.getUint16(22, true) === 0;
  const extended = is32 ? 66 : 38;
  const hasIds = boot[extended] === 0x28 || boot[extended] === 0x29;
  const rootCluster = is32 ? view.getUint32(44, true) : 0;
  const rootAt = is32 ? dataAt + (rootCluster - 2) * cluster : dataAt - rootSectors;
  const rootBytes = is32 ? Math.min(cluster * sector, 4096) : Math.min(rootEntries * 32, 4096);
  const root = await window.bytes(rootAt * sector, rootBytes);
  const bootLabel = boot[extended] === 0x29 ? text(boot.subarray(extended + 5, extended + 16), "latin1") : "";
  const id = serial(boot.subarray(extended + 1, extended + 5));
  return {
    kind: is32 ? "fat32" : clusters < 4085 ? "fat12" : "fat16",
    label: (root && volumeEntry(root)) ?? (bootLabel === "NO NAME" ? "" : bootLabel),
    uuid: hasIds && id !== "00000000" ? `${id.slice(0, 4)}-${id.slice(4)}` : null,
  };
}

/** The directory entry with the volume attribute, which is the label that Windows shows. */
function volumeEntry(root: Uint8Array): string | null {
  for (let at = 0; at + 32 <= root.length && root[at] !== 0; at += 32) {
    const attributes = root[at + 11] as number;
    if (root[at] === 0xe5 || (attributes & 0x08) === 0 || (attributes & 0x3f) === 0x0f) continue;
    const name = root.slice(at, at + 11);
    // 0xE5 in the first place would mean a deleted entry, and is kept as 5.
    if (name[0] === 5) name[0] = 0xe5;
    return text(name, "latin1");
  }
  return null;
}

export async function exfat(window: Window): Promise<Identity | null> {
  const boot = await window.bytes(0, 512);
  if (boot === null) return null;
  const view = viewOf(boot);
  const sectorShift = view.getUint8(108);
  const clusterShift = view.getUint8(109);
  if (sectorShift < 9 || sectorShift > 12 || clusterShift > 25 - sectorShift) return null;
  const heap = view.getUint32(88, true) * 2 ** sectorShift;
  const clusterBytes = 2 ** (sectorShift + clusterShift);
  const root = await window.bytes(heap + (view.getUint32(96, true) - 2) * clusterBytes, Math.min(clusterBytes, 4096));
  const id = serial(boot.subarray(100, 104));
  return { label: root === null ? "" : exfatLabel(root), uuid: `${id.slice(0, 4)}-${id.slice(4)}` };
}

/** Section 7.3: entry type 0x83, a count of UTF-16 units, and the units. */
function exfatLabel(root: Uint8Array): string {
  for (let at = 0; at + 32 <= root.length && root[at] !== 0; at += 32)
    if (root[at] === 0x83) return text(root.subarray(at + 2, at + 2 + 2 * Math.min(11, root[at + 1] as number)), "utf-16le");
  return "";
}

export async function ntfs(window: Window): Promise<Identity | null> {
  const boot = await window.bytes(0, 512);
  if (boot === null) return null;
  const view = viewOf(boot);
  const sector = view.getUint16(11, true);
  const rawCluster = view.getUint8(13);
  // Above 128 the byte is a negative power of two, for clusters past 64 KiB.
  const cluster = sector * (rawCluster > 128 ? 2 ** (256 - rawCluster) : rawCluster);
  const rawRecord = view.getInt8(64);
  const record = rawRecord < 0 ? 2 ** -rawRecord : rawRecord * cluster;
  if (!isPowerOfTwo(sector) || cluster === 0 || record < 512 || record > 65536) return null;
  const volume = await window.bytes(Number(view.getBigUint64(48, true)) * cluster + 3 * record, record);
  return { label: volume === null ? "" : ntfsLabel(volume), uuid: serial(boot.subarray(72, 80)) };
}

/** The resident attribute $VOLUME_NAME (0x60) of MFT record 3. */
function ntfsLabel(record: Uint8Array): string {
  const view = viewOf(record);
  if (text(record.subarray(0, 4)) !== "FILE") return "";
  for (let at = view.getUint16(20, true); at + 24 <= record.length; ) {
    const type = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    if (type === 0xffffffff || length < 24 || at + length > record.length) return "";
    if (type === 0x60) {
      const from = at + view.getUint16(at + 20, true);
      return text(record.subarray(from, from + view.getUint32(at + 16, true)), "utf-16le");
    }
    at += length;
  }
  return "";
}
