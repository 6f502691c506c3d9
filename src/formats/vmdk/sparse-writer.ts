import { DiskError } from "../../core/errors.ts";
import type { Block, ImageWriter, Write } from "../../core/model.ts";
import {
  DESCRIPTOR_SECTORS,
  embeddedDescriptor,
  GRAIN,
  MOST_FILE_SECTORS,
  type SparseLayout,
  sparseLayout,
  type VmdkSpec,
} from "./options.ts";
import { FLAG_NEWLINE_TEST, FLAG_REDUNDANT, GT_SECTORS, GTES_PER_GT, Header, MAGIC, NEWLINES, SECTOR } from "./spec.ts";
import { tableBytes } from "./stream-writer.ts";

const GRAIN_SECTORS = GRAIN / SECTOR;
/** Directory entries per write. */
const ENTRIES_PER_WRITE = 1 << 18;

/**
 * monolithicSparse ([1] "Hosted Sparse Extents"): header, descriptor, redundant directory and its tables, directory and its
 * tables, then grains in the order of the disk. All tables have their place from the start; as units come in ascending order,
 * a table is complete, and written to both places, when the first unit past it arrives. Tables without grains are left unwritten:
 * zeros are what they hold.
 */
export class SparseWriter implements ImageWriter {
  readonly unit = GRAIN;
  readonly files: readonly string[];
  readonly encoding = null;
  readonly sequential = false;
  readonly #spec: VmdkSpec;
  readonly #layout: SparseLayout;
  readonly #descriptor: Uint8Array;
  #table = new Uint32Array(GTES_PER_GT);
  #tableIndex = -1;
  #end: number;

  constructor(spec: VmdkSpec) {
    this.#spec = spec;
    this.#layout = sparseLayout(spec.sectors);
    this.#descriptor = embeddedDescriptor(spec, "RW");
    this.files = [spec.name];
    this.#end = this.#layout.overHead;
    if (this.#end >= MOST_FILE_SECTORS)
      throw new DiskError("limit", "vmdk: the tables of this disk alone pass 2 TiB, where 32-bit sector numbers end");
  }

  put(index: number, block: Block): readonly Write[] {
    if (block.kind !== "data") throw new DiskError("usage", "vmdk: a monolithicSparse disk takes plain grains only");
    if (this.#end + GRAIN_SECTORS > MOST_FILE_SECTORS)
      throw new DiskError("limit", "vmdk: the file reaches 2 TiB, where its 32-bit sector numbers end");
    const table = Math.floor(index / GTES_PER_GT);
    const writes = table === this.#tableIndex ? [] : this.#endTable();
    this.#tableIndex = table;
    this.#table[index % GTES_PER_GT] = this.#end;
    writes.push({ file: 0, at: this.#end * SECTOR, bytes: block.bytes });
    this.#end += GRAIN_SECTORS;
    return writes;
  }

  end(): { writes: Iterable<Write>; sizes: readonly number[] } {
    return { writes: this.#metadata(), sizes: [this.#end * SECTOR] };
  }

  #endTable(): Write[] {
    if (this.#tableIndex < 0) return [];
    const bytes = tableBytes(this.#table);
    const within = this.#tableIndex * GT_SECTORS;
    this.#table = new Uint32Array(GTES_PER_GT);
    const { rgd, gd, directorySectors } = this.#layout;
    return [rgd, gd].map((at) => ({ file: 0, at: (at + directorySectors + within) * SECTOR, bytes }));
  }

  *#metadata(): Generator<Write> {
    yield* this.#endTable();
    const { tables, directorySectors, rgd, gd, overHead } = this.#layout;
    for (const at of [rgd, gd]) {
      for (let from = 0; from < tables; from += ENTRIES_PER_WRITE) {
        const count = Math.min(ENTRIES_PER_WRITE, tables - from);
        const entries = Uint32Array.from({ length: count }, (_, i) => at + directorySectors + (from + i) * GT_SECTORS);
        yield { file: 0, at: at * SECTOR + from * 4, bytes: tableBytes(entries) };
      }
    }
    yield { file: 0, at: SECTOR, bytes: this.#descriptor };
    const header = Header.write({
      magicNumber: MAGIC,
      version: 1,
      flags: FLAG_NEWLINE_TEST | FLAG_REDUNDANT,
      capacity: BigInt(this.#spec.sectors),
      grainSize: BigInt(GRAIN_SECTORS),
      descriptorOffset: 1n,
      descriptorSize: BigInt(DESCRIPTOR_SECTORS),
      numGTEsPerGT: GTES_PER_GT,
      rgdOffset: BigInt(rgd),
      gdOffset: BigInt(gd),
      overHead: BigInt(overHead),
      uncleanShutdown: 0,
      newlines: NEWLINES,
      compressAlgorithm: 0,
      pad: new Uint8Array(0),
    });
    yield { file: 0, at: 0, bytes: header };
  }
}
