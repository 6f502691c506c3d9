import { DiskError } from "../../core/errors.ts";
import type { Block, ImageWriter, Write } from "../../core/model.ts";
import { describe, type VmdkSpec } from "./options.ts";
import { SECTOR } from "./spec.ts";

const UNIT = 64 << 10;
const FLAT = 1;

/** monolithicFlat and vmfs ([1] "Simple Extents"): a descriptor and a file with the plain bytes; what was never put stays a hole. */
export class FlatWriter implements ImageWriter {
  readonly unit = UNIT;
  readonly files: readonly string[];
  readonly encoding = null;
  readonly sequential = false;
  readonly #size: number;
  readonly #descriptor: Uint8Array;

  constructor(spec: VmdkSpec) {
    const flat = `${spec.name.replace(/\.vmdk$/i, "")}-flat.vmdk`;
    const line = spec.subformat === "vmfs" ? `VMFS "${flat}"` : `FLAT "${flat}" 0`;
    this.files = [spec.name, flat];
    this.#size = spec.sectors * SECTOR;
    this.#descriptor = describe(spec, [`RW ${spec.sectors} ${line}`]);
  }

  put(index: number, block: Block): readonly Write[] {
    if (block.kind !== "data") throw new DiskError("usage", "vmdk: a flat disk takes plain bytes only");
    const at = index * UNIT;
    return [{ file: FLAT, at, bytes: block.bytes.subarray(0, Math.min(UNIT, this.#size - at)) }];
  }

  end(): { writes: Iterable<Write>; sizes: readonly number[] } {
    return { writes: [{ file: 0, at: 0, bytes: this.#descriptor }], sizes: [this.#descriptor.length, this.#size] };
  }
}
