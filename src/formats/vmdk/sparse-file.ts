import { DiskError } from "../../core/errors.ts";
import type { Write } from "../../core/target.ts";
import { DESCRIPTOR_SECTORS, GRAIN, MOST_FILE_SECTORS, type SparseLayout, sparseLayout } from "./options.ts";
import {
  FLAG_NEWLINE_TEST,
  FLAG_REDUNDANT,
  FLAG_ZEROED_GRAINS,
  GT_SECTORS,
  GTE_ZEROED,
  GTES_PER_GT,
  Header,
  MAGIC,
  NEWLINES,
  SECTOR,
} from "./spec.ts";
import { tableBytes } from "./stream-writer.ts";

const GRAIN_SECTORS = GRAIN / SECTOR;
/** Directory entries per write. */
const ENTRIES_PER_WRITE = 1 << 18;

export interface SparseFileSpec {
  /** Its number among the image's files. */
  readonly file: number;
  readonly sectors: number;
  /** False for an extent of a split disk. */
  readonly hasDescriptor: boolean;
  readonly zeroedGrains: boolean;
}

/**
 * One file of a growing disk ([1] "Hosted Sparse Extents"): header, descriptor, redundant directory and its tables, directory and its
 * tables, then grains in the order of the disk. All tables have their place from the start; as grains come in ascending order,
 * a table is complete, and written to both places, when the first grain past it arrives. Tables without grains are left unwritten:
 * zeros are what they hold.
 */
export class SparseFile {
  readonly #spec: SparseFileSpec;
  readonly #layout: SparseLayout;
  #table = new Uint32Array(GTES_PER_GT);
  #tableIndex = -1;
  #end: number;

  constructor(spec: SparseFileSpec) {
    this.#spec = spec;
    this.#layout = sparseLayout(spec.sectors, spec.hasDescriptor ? DESCRIPTOR_SECTORS : 0);
    this.#end = this.#layout.overHead;
    if (this.#end >= MOST_FILE_SECTORS)
      throw new DiskError("limit", "vmdk: the tables of this disk alone pass 2 TiB, where 32-bit sector numbers end");
  }

  /** Bytes. */
  get size(): number {
    return this.#end * SECTOR;
  }

  /** `grain` counts from the start of this extent, ascending. */
  put(grain: number, bytes: Uint8Array): readonly Write[] {
    if (this.#end + GRAIN_SECTORS > MOST_FILE_SECTORS)
      throw new DiskError("limit", "vmdk: the file reaches 2 TiB, where its 32-bit sector numbers end");
    const writes = this.#enter(grain, this.#end);
    writes.push(this.#write(this.#end, bytes));
    this.#end += GRAIN_SECTORS;
    return writes;
  }

  /** A grain that reads as zeros whatever the parent holds; stored as zeros where it cannot be marked. */
  putZero(grain: number): readonly Write[] {
    return this.#spec.zeroedGrains ? this.#enter(grain, GTE_ZEROED) : this.put(grain, new Uint8Array(GRAIN));
  }

  #enter(grain: number, entry: number): Write[] {
    const table = Math.floor(grain / GTES_PER_GT);
    const writes = table === this.#tableIndex ? [] : this.#endTable();
    this.#tableIndex = table;
    this.#table[grain % GTES_PER_GT] = entry;
    return writes;
  }

  /** The last table, the directories, the descriptor (null for an extent of a split disk) and the header. */
  *end(descriptor: Uint8Array | null): Generator<Write> {
    yield* this.#endTable();
    const { tables, directorySectors, rgd, gd, overHead } = this.#layout;
    for (const at of [rgd, gd]) {
      for (let from = 0; from < tables; from += ENTRIES_PER_WRITE) {
        const count = Math.min(ENTRIES_PER_WRITE, tables - from);
        const entries = Uint32Array.from({ length: count }, (_, i) => at + directorySectors + (from + i) * GT_SECTORS);
        yield this.#write(at + (from * 4) / SECTOR, tableBytes(entries));
      }
    }
    const { zeroedGrains, sectors } = this.#spec;
    if (descriptor !== null) yield this.#write(1, descriptor);
    const header = Header.write({
      magicNumber: MAGIC,
      version: zeroedGrains ? 2 : 1,
      flags: FLAG_NEWLINE_TEST | FLAG_REDUNDANT | (zeroedGrains ? FLAG_ZEROED_GRAINS : 0),
      capacity: BigInt(sectors),
      grainSize: BigInt(GRAIN_SECTORS),
      descriptorOffset: descriptor === null ? 0n : 1n,
      descriptorSize: descriptor === null ? 0n : BigInt(DESCRIPTOR_SECTORS),
      numGTEsPerGT: GTES_PER_GT,
      rgdOffset: BigInt(rgd),
      gdOffset: BigInt(gd),
      overHead: BigInt(overHead),
      uncleanShutdown: 0,
      newlines: NEWLINES,
      compressAlgorithm: 0,
      pad: new Uint8Array(0),
    });
    yield this.#write(0, header);
  }

  #endTable(): Write[] {
    if (this.#tableIndex < 0) return [];
    const bytes = tableBytes(this.#table);
    const within = this.#tableIndex * GT_SECTORS;
    this.#table = new Uint32Array(GTES_PER_GT);
    this.#tableIndex = -1;
    const { rgd, gd, directorySectors } = this.#layout;
    return [rgd, gd].map((at) => this.#write(at + directorySectors + within, bytes));
  }

  #write(sector: number, bytes: Uint8Array): Write {
    return { file: this.#spec.file, at: sector * SECTOR, bytes };
  }
}
