import { BitSet } from "../../core/bit-set.ts";
import type { ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { descriptorText } from "./descriptor.ts";
import { clusterBytes } from "./options.ts";
import { CLOSED, DESCRIPTOR_NAME, ENTRY_BYTES, Header, MAGIC_CLUSTERS, SECTOR, VERSION } from "./spec.ts";

/** Entries of one write of the table: 1 MiB. */
const WRITE_ENTRIES = (1 << 20) / ENTRY_BYTES;
/** The geometry that qemu states. */
const HEADS = 16;
const SECTORS_PER_TRACK = 32;

/**
 * Clusters follow one another in the order in which they come, so the table is told by which ones came. It is written before
 * the header, so that a file cut off in writing is no image. The image is file 0 and complete without the descriptor, file 1
 * of a bundle.
 */
export function createParallels({ size, name, options }: TargetSpec): ImageWriter {
  const unit = clusterBytes(options);
  const sectors = Math.ceil(size / SECTOR);
  const entries = Math.ceil(size / unit);
  const dataAt = Math.ceil((Header.bytes + entries * ENTRY_BYTES) / unit) * unit;
  const hasDescriptor = options["bundle"] === "on";
  const written = new BitSet();
  let used = 0;

  function* table(): Generator<Write> {
    let next = dataAt / unit;
    for (let first = 0; first < entries; first += WRITE_ENTRIES) {
      const count = Math.min(WRITE_ENTRIES, entries - first);
      const bytes = new Uint8Array(count * ENTRY_BYTES);
      const view = new DataView(bytes.buffer);
      for (let i = 0; i < count; i++) if (written.has(first + i)) view.setUint32(i * ENTRY_BYTES, next++, true);
      yield { file: 0, at: Header.bytes + first * ENTRY_BYTES, bytes };
    }
  }

  return {
    unit,
    files: hasDescriptor ? [name, DESCRIPTOR_NAME] : [name],
    encoding: null,
    sequential: false,
    put(index, block) {
      if (block.kind === "packed") throw new TypeError("parallels: blocks are never packed");
      written.add(index);
      return [{ file: 0, at: dataAt + used++ * unit, bytes: block.bytes }];
    },
    end() {
      const header = Header.write({
        magic: new TextEncoder().encode(MAGIC_CLUSTERS),
        version: VERSION,
        heads: HEADS,
        cylinders: Math.min(0xffffffff, Math.floor(sectors / HEADS / SECTORS_PER_TRACK)),
        tracks: unit / SECTOR,
        nb_bat_entries: entries,
        nb_sectors: BigInt(sectors),
        in_use: CLOSED,
        data_off: dataAt / SECTOR,
        flags: 0,
        ext_off: 0n,
      });
      const descriptor = new TextEncoder().encode(hasDescriptor ? descriptorText(sectors, unit / SECTOR, name) : "");
      function* writes(): Generator<Write> {
        yield* table();
        yield { file: 0, at: 0, bytes: header };
        if (hasDescriptor) yield { file: 1, at: 0, bytes: descriptor };
      }
      const sizes = [dataAt + used * unit, ...(hasDescriptor ? [descriptor.length] : [])];
      return { writes: writes(), sizes };
    },
  };
}
