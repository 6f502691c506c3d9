import { BitSet } from "../../core/bit-set.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { RecentPieces } from "../../core/recent-pieces.ts";
import { BLOCKS_PER_BYTE, CHUNK_HIGH, ENTRY_BYTES, RESERVED_HIGH, STATE_EMPTY, STATE_PARTIAL, STATE_SHIFT, STATE_WHOLE } from "./spec.ts";

const GROUPS_KEPT = 16;
/** Chunks of the file up to which sharing is looked for: 32 MiB of bits, 256 TiB of file at the usual chunk size. */
const MOST_TRACKED = 2 ** 28;

/** How a disk is divided, computed from the chunk and block sizes alone. */
export interface Geometry {
  readonly chunk: number;
  readonly block: number;
  /** Data entries in a row; one more entry after them is for a chunk with two bits per block of theirs. */
  readonly groupEntries: number;
  /** Groups in one table, which fills at most a chunk. */
  readonly tableGroups: number;
}

export function geometryOf(chunk: number, block: number): Geometry {
  // The two bits of all blocks of a group fill one chunk.
  const groupEntries = BLOCKS_PER_BYTE * block;
  return { chunk, block, groupEntries, tableGroups: Math.floor(chunk / ENTRY_BYTES / (groupEntries + 1)) };
}

/** `bad`: what the chunk holds cannot be known. */
export type ChunkKind = "empty" | "whole" | "partial" | "bad";

/** Entries alike: chunks that follow one another in the file from byte `at`, or nothing. Partial and bad ones stand alone. */
export interface ChunkRun {
  readonly kind: ChunkKind;
  /** Of the group's entries the first, and how many. */
  readonly first: number;
  readonly count: number;
  readonly at: number;
  /** Why the chunk is bad. */
  readonly problem: string | null;
}

/** The entries of one group. */
export interface Group {
  readonly runs: readonly ChunkRun[];
  /** Where the first entry stands in the file; null: there is no table, and all is empty. */
  readonly at: number | null;
  /** Where the chunk with two bits per block lies; null: there is none. */
  readonly bitmapAt: number | null;
}

/**
 * Directory → table → entry, read a group at a time (2 GiB of disk with chunks of 1 MiB). A chunk that two entries name is damage, found
 * as the groups come in: the entry that was read later counts as the wrong one.
 */
export class ChunkTables {
  readonly tracked: boolean;
  readonly #file: ByteSource;
  readonly #directoryAt: number;
  readonly #geometry: Geometry;
  readonly #groups = new RecentPieces<Group>(GROUPS_KEPT);
  /** Chunks of the file in use, and who was the first to name each table and group: those alone may go on to use theirs. */
  readonly #used = new BitSet();
  readonly #tables = new Map<number, boolean>();
  readonly #shared = new Map<number, BitSet | null>();

  /** `directoryAt`: byte of the active directory's first entry. */
  constructor(file: ByteSource, directoryAt: number, geometry: Geometry) {
    this.#file = file;
    this.#directoryAt = directoryAt;
    this.#geometry = geometry;
    this.tracked = file.size / geometry.chunk <= MOST_TRACKED;
  }

  group(number: number): Promise<Group> {
    return this.#groups.get(number, () => this.#load(number));
  }

  async #load(number: number): Promise<Group> {
    const { chunk, groupEntries, tableGroups } = this.#geometry;
    const index = Math.floor(number / tableGroups);
    const entryAt = this.#directoryAt + index * ENTRY_BYTES;
    const view = new DataView((await this.#read(number, entryAt, ENTRY_BYTES, entryAt)).buffer);
    const table = chunkOf(view, 0) * chunk;
    if (view.getUint32(0) > CHUNK_HIGH) throw this.#damaged(number, entryAt, `directory entry ${index} has bits that are not known`);
    if (table === 0) return { runs: [{ kind: "empty", first: 0, count: groupEntries, at: 0, problem: null }], at: null, bitmapAt: null };
    const at = table + (number % tableGroups) * (groupEntries + 1) * ENTRY_BYTES;
    const bytes = await this.#read(number, at, (groupEntries + 1) * ENTRY_BYTES, entryAt);
    if (!this.#claimTable(index, table))
      throw this.#damaged(number, entryAt, `directory entry ${index} names a chunk that is in use already`);
    return this.#groupOf(number, new DataView(bytes.buffer), at);
  }

  #claimTable(index: number, at: number): boolean {
    const known = this.#tables.get(index) ?? this.#claim(at / this.#geometry.chunk);
    this.#tables.set(index, known);
    return known;
  }

  /** False: the chunk is in use already. The first holds the header. */
  #claim(chunk: number): boolean {
    return !this.tracked || (chunk > 0 && this.#used.add(chunk));
  }

  #groupOf(number: number, entries: DataView, at: number): Group {
    const { chunk, groupEntries } = this.#geometry;
    // Its high bits have been seen clear, and are not a state.
    const bitmap = chunkOf(entries, groupEntries);
    let shared = this.#shared.get(number);
    if (shared === undefined) {
      shared = this.#sharedIn(entries, bitmap);
      this.#shared.set(number, shared);
    }
    const runs: ChunkRun[] = [];
    for (let entry = 0; entry < groupEntries; entry++) {
      const place = chunkOf(entries, entry) * chunk;
      const { kind, problem } = this.#kindOf(entries, entry, place, bitmap, shared);
      const last = runs[runs.length - 1];
      const joins = last?.kind === kind && (kind === "empty" || (kind === "whole" && place === last.at + last.count * chunk));
      if (joins) runs[runs.length - 1] = { ...last, count: last.count + 1 };
      else runs.push({ kind, first: entry, count: 1, at: place, problem });
    }
    return { runs, at, bitmapAt: bitmap === 0 ? null : bitmap * chunk };
  }

  /** Claims what a group's entries name; those of them that something else had before. */
  #sharedIn(entries: DataView, bitmap: number): BitSet | null {
    let shared: BitSet | null = null;
    const { chunk, groupEntries } = this.#geometry;
    const inFile = Math.ceil(this.#file.size / chunk);
    for (let entry = 0; entry <= groupEntries; entry++) {
      const number = entry === groupEntries ? bitmap : chunkOf(entries, entry);
      if (number === 0 || number >= inFile || this.#claim(number)) continue;
      shared ??= new BitSet();
      shared.add(entry);
    }
    return shared;
  }

  #kindOf(entries: DataView, entry: number, at: number, bitmap: number, shared: BitSet | null) {
    const { chunk, groupEntries } = this.#geometry;
    const high = entries.getUint32(entry * ENTRY_BYTES);
    const state = high >>> STATE_SHIFT;
    const bad = (problem: string) => ({ kind: "bad", problem }) as const;
    if ((high & RESERVED_HIGH) !== 0) return bad("has an entry with bits that are not known");
    if (state === STATE_EMPTY && at === 0) return { kind: "empty", problem: null } as const;
    if (state !== STATE_WHOLE && state !== STATE_PARTIAL) return bad(`has an entry in state ${state} for byte ${at}, which is not known`);
    if (at === 0) return bad("has an entry that says it was written, but not where");
    if (shared?.has(entry) === true) return bad(`is at byte ${at}, which is in use for something else already`);
    if (at >= this.#file.size) return bad(`is at byte ${at}, but the file ends at byte ${this.#file.size}`);
    if (state === STATE_WHOLE) return { kind: "whole", problem: null } as const;
    if (bitmap === 0 || bitmap * chunk >= this.#file.size || shared?.has(groupEntries) === true)
      return bad("was written in part, and the chunk that says which part is missing");
    return { kind: "partial", problem: null } as const;
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

/** The chunk's number in the file that entry `index` has. Inexact past 2^53, and then past the end of any file. */
const chunkOf = (entries: DataView, index: number): number =>
  (entries.getUint32(index * ENTRY_BYTES) & CHUNK_HIGH) * 2 ** 32 + entries.getUint32(index * ENTRY_BYTES + 4);
