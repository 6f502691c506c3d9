import { DiskError } from "../../core/errors.ts";
import { type ByteSource, RUN_DATA, type ScanTable, type TableLayout, type TableRuns } from "../../core/model.ts";
import { CHUNK_MASK, ENTRY_BYTES, RESERVED_BITS } from "./spec.ts";

const GROUPS_KEPT = 64;

/** How a disk is divided, computed from the chunk and block sizes alone. */
export interface Geometry {
  readonly chunk: number;
  /** Data entries in a row; one more entry after them is for a chunk with two bits per block of theirs. */
  readonly groupEntries: number;
  /** Groups in one table, which fills at most a chunk. */
  readonly tableGroups: number;
}

export function geometryOf(chunk: number, block: number): Geometry {
  const blocksPerChunk = chunk / block;
  const groupEntries = Math.max(1, (chunk * 4) / blocksPerChunk);
  return { chunk, groupEntries, tableGroups: Math.floor(chunk / ENTRY_BYTES / (groupEntries + 1)) };
}

/** The entries of one group, as runs; `at` is where the first of them stands in the file, null when there is no table. */
export interface Group {
  readonly runs: TableRuns | null;
  readonly at: number | null;
}

/** Directory → table → entry, read a group at a time (2 GiB of disk with chunks of 1 MiB). */
export class ChunkTables {
  readonly #file: ByteSource;
  readonly #directoryAt: number;
  readonly #geometry: Geometry;
  readonly #scanTable: ScanTable;
  readonly #layout: TableLayout;
  readonly #groups = new Map<number, Promise<Group>>();

  /** `directoryAt`: byte of the active directory's first entry. */
  constructor(file: ByteSource, directoryAt: number, geometry: Geometry, scanTable: ScanTable) {
    this.#file = file;
    this.#directoryAt = directoryAt;
    this.#geometry = geometry;
    this.#scanTable = scanTable;
    this.#layout = {
      entryBytes: ENTRY_BYTES,
      endian: "be",
      mask: CHUNK_MASK,
      scale: geometry.chunk,
      base: 0,
      unit: geometry.chunk,
      hole: null,
      zero: null,
      zeroBits: 0n,
      packedBits: RESERVED_BITS,
    };
  }

  group(number: number): Promise<Group> {
    const kept = this.#groups.get(number);
    const group = kept ?? this.#load(number);
    this.#groups.delete(number);
    this.#groups.set(number, group);
    if (kept === undefined) {
      group.catch(() => this.#groups.delete(number));
      for (const oldest of this.#groups.keys()) {
        if (this.#groups.size <= GROUPS_KEPT) break;
        this.#groups.delete(oldest);
      }
    }
    return group;
  }

  async #load(number: number): Promise<Group> {
    const { chunk, groupEntries, tableGroups } = this.#geometry;
    const entryAt = this.#directoryAt + Math.floor(number / tableGroups) * ENTRY_BYTES;
    const directory = await this.#read(number, entryAt, ENTRY_BYTES, entryAt);
    const entry = new DataView(directory.buffer).getBigUint64(0);
    if ((entry & RESERVED_BITS) !== 0n)
      throw this.#damaged(number, entryAt, `directory entry 0x${entry.toString(16)} has bits that are not known`);
    const table = Number(entry & CHUNK_MASK) * chunk;
    if (table === 0) return { runs: null, at: null };
    const at = table + (number % tableGroups) * (groupEntries + 1) * ENTRY_BYTES;
    const bytes = await this.#read(number, at, groupEntries * ENTRY_BYTES, entryAt);
    return { runs: this.#scanTable(bytes, this.#layout), at };
  }

  async #read(group: number, at: number, length: number, entryAt: number): Promise<Uint8Array<ArrayBuffer>> {
    if (at + length <= this.#file.size) return this.#file.read(at, length);
    throw this.#damaged(group, entryAt, `a table at byte ${at} ends past the end of the file at ${this.#file.size}`);
  }

  #damaged(group: number, at: number, why: string): DiskError {
    const length = this.#geometry.groupEntries * this.#geometry.chunk;
    return new DiskError("corrupt", `asif: ${why}`, { file: this.#file.name, at, guest: { start: group * length, length } });
  }
}

/** The run that holds `entry`. */
export function runOf(runs: TableRuns, entry: number): number {
  let low = 0;
  let high = runs.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((runs.first[middle] as number) <= entry) low = middle;
    else high = middle - 1;
  }
  return low;
}

export const isData = (runs: TableRuns, run: number): boolean => runs.kind[run] === RUN_DATA;
