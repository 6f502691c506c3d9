import type { Note } from "../core/model.ts";

/** Bytes `at..at+length` of the disk; only asked for what lies inside it. */
export type ReadBytes = (at: number, length: number) => Promise<Uint8Array>;

export interface Partition {
  /** As operating systems count: logical partitions from 5 on, GPT by the place in the table. */
  readonly number: number;
  /** Bytes. `start + length` may lie past the end of the disk; the table's notes say so. */
  readonly start: number;
  readonly length: number;
  /** In plain words: "Linux", "EFI system". The id itself when it is not a common one. */
  readonly type: string;
  /** "0x83", or the type's GUID in lower case. */
  readonly typeId: string;
  /** GPT only; else empty. */
  readonly name: string;
  /** "active", "required", "legacy boot", "logical", "extended", "read-only", "hidden". */
  readonly flags: readonly string[];
}

export interface PartitionTable {
  readonly kind: "mbr" | "gpt";
  /** Bytes per sector, by which the table counts: 512 or 4096. */
  readonly sector: number;
  /** MBR disk signature ("0x1234abcd") or disk GUID. */
  readonly id: string;
  /** By number. */
  readonly partitions: readonly Partition[];
  readonly notes: readonly Note[];
}

export const warning = (text: string): Note => ({ text, severity: "warning" });

/** Remarks on partitions that overlap or leave the disk. An extended partition is there to hold others. */
export function placementNotes(partitions: readonly Partition[], diskSize: number): Note[] {
  const notes: Note[] = [];
  const real = partitions.filter(({ flags }) => !flags.includes("extended"));
  for (const { number, start, length } of partitions)
    if (start + length > diskSize)
      notes.push(warning(`Partition ${number} ends at byte ${start + length}, past the end of the disk (${diskSize}).`));
  const sorted = real.toSorted((a, b) => a.start - b.start);
  let furthest: Partition | null = null;
  for (const partition of sorted) {
    if (furthest !== null && partition.start < furthest.start + furthest.length)
      notes.push(warning(`Partitions ${furthest.number} and ${partition.number} overlap.`));
    if (furthest === null || partition.start + partition.length > furthest.start + furthest.length) furthest = partition;
  }
  return notes;
}
