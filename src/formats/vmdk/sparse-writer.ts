import { DiskError } from "../../core/errors.ts";
import type { Block, ImageWriter, Write } from "../../core/target.ts";
import { describe, embeddedDescriptor, extentsOf, GRAIN, type NewExtent, type VmdkSpec, withIdentity } from "./options.ts";
import { SparseFile } from "./sparse-file.ts";
import { SECTOR } from "./spec.ts";

/** monolithicSparse: one growing file that holds its own descriptor. */
export class SparseWriter implements ImageWriter {
  readonly unit = GRAIN;
  readonly files: readonly string[];
  readonly encoding = null;
  readonly sequential = false;
  readonly #spec: VmdkSpec;
  readonly #file: SparseFile;

  constructor(spec: VmdkSpec) {
    const { sectors, zeroedGrains } = spec;
    this.files = [spec.name];
    this.#spec = spec;
    this.#file = new SparseFile({ file: 0, sectors, hasDescriptor: true, zeroedGrains });
    embeddedDescriptor(spec, "RW"); // refuses what does not fit before anything is written
  }

  put(index: number, block: Block): readonly Write[] {
    return this.#file.put(index, plainBytes(block));
  }

  putZero(index: number): readonly Write[] {
    return this.#file.putZero(index);
  }

  end(identity?: Uint8Array): { writes: Iterable<Write>; sizes: readonly number[] } {
    const descriptor = embeddedDescriptor(withIdentity(this.#spec, identity), "RW");
    return { writes: this.#file.end(descriptor), sizes: [this.#file.size] };
  }
}

/**
 * twoGbMaxExtentSparse: a descriptor and growing files of at most 2 GiB each. A file is ended when the first unit past its extent
 * arrives, so that one table is in memory at a time.
 */
export class SplitSparseWriter implements ImageWriter {
  readonly unit = GRAIN;
  readonly files: readonly string[];
  readonly encoding = null;
  readonly sequential = false;
  readonly #spec: VmdkSpec;
  readonly #extents: readonly NewExtent[];
  /** Sizes of the ended files, in bytes, by extent. */
  readonly #sizes: number[] = [];
  #open: SparseFile;

  constructor(spec: VmdkSpec) {
    this.#spec = spec;
    this.#extents = extentsOf(spec);
    this.files = [spec.name, ...this.#extents.map(({ name }) => name)];
    this.#open = this.#start(0);
  }

  *put(index: number, block: Block): Generator<Write> {
    const grain = yield* this.#enter(index);
    yield* this.#open.put(grain, plainBytes(block));
  }

  *putZero(index: number): Generator<Write> {
    const grain = yield* this.#enter(index);
    yield* this.#open.putZero(grain);
  }

  /** Opens the file of a grain; the grain's number there. */
  *#enter(index: number): Generator<Write, number> {
    const grains = ((this.#extents[0] as NewExtent).sectors * SECTOR) / GRAIN;
    const extent = Math.floor(index / grains);
    while (this.#sizes.length < extent) yield* this.#next();
    return index - extent * grains;
  }

  end(identity?: Uint8Array): { writes: Iterable<Write>; sizes: readonly number[] } {
    const descriptor = describe(withIdentity(this.#spec, identity));
    const ended = this.#sizes.length;
    const untouched = this.#extents.slice(ended + 1).map((_, i) => this.#start(ended + 1 + i).size);
    const sizes = [descriptor.length, ...this.#sizes, this.#open.size, ...untouched];
    return { writes: this.#rest(descriptor), sizes };
  }

  *#rest(descriptor: Uint8Array): Generator<Write> {
    while (this.#sizes.length < this.#extents.length) yield* this.#next();
    yield { file: 0, at: 0, bytes: descriptor };
  }

  /** Ends the open file and begins the one after it. */
  *#next(): Generator<Write> {
    yield* this.#open.end(null);
    this.#sizes.push(this.#open.size);
    if (this.#sizes.length < this.#extents.length) this.#open = this.#start(this.#sizes.length);
  }

  #start(extent: number): SparseFile {
    const { sectors } = this.#extents[extent] as NewExtent;
    return new SparseFile({ file: 1 + extent, sectors, hasDescriptor: false, zeroedGrains: this.#spec.zeroedGrains });
  }
}

function plainBytes(block: Block): Uint8Array {
  if (block.kind !== "data") throw new DiskError("usage", "vmdk: a growing disk takes plain grains only");
  return block.bytes;
}
