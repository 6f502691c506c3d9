import { SIGNATURES, type Signature } from "./signatures.ts";
import { type ReadBytes, Window } from "./window.ts";

export { extentOf, type FileSystemExtent } from "./extent.ts";
export { FREE_MAPS, type FreeMap, PageCache } from "./free-space.ts";

export interface FileSystemIdentity {
  /** "ext4", "ntfs", "fat32", "luks", … */
  readonly kind: string;
  /** For people: "ext4", "NTFS", "FAT32". */
  readonly name: string;
  /** Empty when it has none, or none that is read here. */
  readonly label: string;
  /** As blkid prints it; null when it has none, or none that is read here. */
  readonly uuid: string | null;
}

const REFINED: Readonly<Record<string, string>> = { fat12: "FAT12", fat16: "FAT16", fat32: "FAT32", jbd: "ext journal" };

/**
 * What file system (or container of one) begins at `start`; null: none that is known. Reads single 4 KiB pages, about
 * a dozen, never outside the volume. Only errors of `read` pass through.
 */
export async function identify(read: ReadBytes, start: number, length: number): Promise<FileSystemIdentity | null> {
  const window = new Window(read, start, length);
  for (const signature of SIGNATURES) {
    if (!(await isMarked(window, signature))) continue;
    const found = signature.identify === undefined ? { label: "", uuid: null } : await signature.identify(window);
    if (found === null) continue;
    const kind = found.kind ?? signature.kind;
    const name = kind === signature.kind ? signature.name : (REFINED[kind] ?? kind);
    return { kind, name, label: found.label, uuid: found.uuid };
  }
  return null;
}

async function isMarked(window: Window, { magics }: Signature): Promise<boolean> {
  for (const { at, bytes } of magics) {
    const there = await window.bytes(at, bytes.length);
    if (there !== null && bytes.every((byte, i) => byte === there[i])) return true;
  }
  return magics.length === 0;
}
