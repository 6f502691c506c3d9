// Partition tables that are known here by their mark only. Sources: Linux block/partitions/{mac,sgi,sun}.h and sys/disklabel.h of the BSDs.
import type { ReadBytes } from "./model.ts";

const TABLES: readonly { readonly name: string; readonly at: number; readonly mark: readonly number[] }[] = [
  { name: "an Apple partition map", at: 512, mark: [0x50, 0x4d, 0, 0] },
  { name: "an SGI disk label", at: 0, mark: [0x0b, 0xe5, 0xa9, 0x41] },
  { name: "a Sun disk label", at: 508, mark: [0xda, 0xbe] },
  // In the first sector or the second, as the architecture has it.
  { name: "a BSD disk label", at: 64, mark: [0x57, 0x45, 0x56, 0x82] },
  { name: "a BSD disk label", at: 512, mark: [0x57, 0x45, 0x56, 0x82] },
];

/** Name of the partition table whose mark the disk bears, though its partitions are not read here; null: none. */
export async function foreignTable(read: ReadBytes, diskSize: number): Promise<string | null> {
  if (diskSize < 1024) return null;
  const head = await read(0, 1024);
  return TABLES.find(({ at, mark }) => mark.every((byte, i) => head[at + i] === byte))?.name ?? null;
}
