import { DiskError } from "../../core/errors.ts";
import type { Block, ImageWriter, Write } from "../../core/target.ts";
import { describe, extentsOf, type NewExtent, type VmdkSpec, withIdentity } from "./options.ts";
import { SECTOR } from "./spec.ts";

const UNIT = 64 << 10;

/** A descriptor and files with the plain bytes ([1] "Simple Extents"); what was never put stays a hole. */
export class FlatWriter implements ImageWriter {
  readonly unit = UNIT;
  readonly files: readonly string[];
  readonly encoding = null;
  readonly sequential = false;
  readonly #extents: readonly NewExtent[];
  readonly #spec: VmdkSpec;

  constructor(spec: VmdkSpec) {
    this.#extents = extentsOf(spec);
    this.files = [spec.name, ...this.#extents.map(({ name }) => name)];
    this.#spec = spec;
  }

  put(index: number, block: Block): readonly Write[] {
    if (block.kind !== "data") throw new DiskError("usage", "vmdk: a flat disk takes plain bytes only");
    // All extents but the last have the same size, whole units.
    const span = (this.#extents[0] as NewExtent).sectors * SECTOR;
    const extent = Math.floor((index * UNIT) / span);
    const at = index * UNIT - extent * span;
    const end = (this.#extents[extent] as NewExtent).sectors * SECTOR;
    return [{ file: 1 + extent, at, bytes: block.bytes.subarray(0, Math.min(UNIT, end - at)) }];
  }

  end(identity?: Uint8Array): { writes: Iterable<Write>; sizes: readonly number[] } {
    const descriptor = describe(withIdentity(this.#spec, identity));
    const sizes = [descriptor.length, ...this.#extents.map(({ sectors }) => sectors * SECTOR)];
    return { writes: [{ file: 0, at: 0, bytes: descriptor }], sizes };
  }
}
