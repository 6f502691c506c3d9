import { readGpt } from "./gpt.ts";
import { readMbr } from "./mbr.ts";
import type { PartitionTable, ReadBytes } from "./model.ts";

export type { Partition, PartitionTable, ReadBytes } from "./model.ts";

/** The disk's partition table, GPT before MBR; null: none. Never writes; damage is told in the table's notes, errors of `read` pass through. */
export async function readPartitions(read: ReadBytes, diskSize: number): Promise<PartitionTable | null> {
  return (await readGpt(read, diskSize)) ?? (await readMbr(read, diskSize));
}
