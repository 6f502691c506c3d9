import { readGpt } from "./gpt.ts";
import { readMbr } from "./mbr.ts";
import type { PartitionTable, ReadBytes } from "./model.ts";

export { foreignTable } from "./foreign.ts";
export { missingEnd } from "./gpt.ts";
export { resizedGpt, type SoundGpt, soundGpt } from "./gpt-resize.ts";
export { type MbrTable, readMbr } from "./mbr.ts";
export type { Partition, PartitionTable, ReadBytes } from "./model.ts";

/** The disk's partition table, GPT before MBR; null: none. Never writes; damage is told in the table's notes, errors of `read` pass through. */
export async function readPartitions(read: ReadBytes, diskSize: number): Promise<PartitionTable | null> {
  return (await readGpt(read, diskSize)) ?? (await readMbr(read, diskSize));
}
