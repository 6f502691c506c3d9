import type { Note } from "../core/model.ts";
import type { BlockPool } from "../core/ports.ts";
import { identify } from "../filesystems/index.ts";
import { readPartitions } from "../partitions/index.ts";
import { attachDisk, type Disk } from "./disk.ts";
import { readDisk } from "./read.ts";

/** What a guest would find on a disk: its partition table and the file systems in it. */
export interface Contents {
  /** "GPT", "MBR", or "none" when a file system starts at the first byte. */
  readonly kind: string;
  readonly entries: readonly ContentEntry[];
  readonly notes: readonly Note[];
}
export interface ContentEntry {
  readonly start: number;
  readonly length: number;
  readonly type: string;
  /** Partition name, else file-system label, else empty. */
  readonly name: string;
  readonly fileSystem: string | null;
}

/** Reads a few small places of the disk. Null: nothing recognised. Unreadable places count as not recognised. */
export async function readContents(disk: Disk, pool: BlockPool, signal: AbortSignal): Promise<Contents | null> {
  const attached = attachDisk(disk, pool);
  const read = (at: number, length: number): Promise<Uint8Array> => readDisk(attached, pool, at, length, signal, true);
  try {
    const table = await readPartitions(read, disk.size);
    if (table !== null) {
      const entries: ContentEntry[] = [];
      for (const { start, length, type, name, flags } of table.partitions) {
        const readable = start < disk.size && !flags.includes("extended");
        const inside = readable ? await identify(read, start, Math.min(length, disk.size - start)) : null;
        entries.push({ start, length, type, name: name || inside?.label || "", fileSystem: inside?.kind ?? null });
      }
      return { kind: table.kind.toUpperCase(), entries, notes: table.notes };
    }
    const whole = await identify(read, 0, disk.size);
    if (whole === null) return null;
    return {
      kind: "none",
      entries: [{ start: 0, length: disk.size, type: "", name: whole.label ?? "", fileSystem: whole.kind }],
      notes: [],
    };
  } finally {
    attached.detach();
  }
}
