import type { ImageWriter, TargetSpec, Write } from "../../core/model.ts";
import { wholeSectors } from "../../core/whole-sectors.ts";
import { layoutOf } from "./options.ts";
import { ENTRY_BYTES, Header, MAGIC } from "./spec.ts";

/** Bytes of a table that are written at once. */
const WRITE_BYTES = 1 << 20;
const WRITE_ENTRIES = WRITE_BYTES / ENTRY_BYTES;

/**
 * Header, L1 table, then every L2 table in front of its clusters, which follow one another. An L2 table is written when the
 * next one begins: memory holds one bit per entry of it. Pieces of tables without entries are left as zeros.
 */
export function createQed({ size, name, options }: TargetSpec): ImageWriter {
  const { unit, tableSize, entries } = layoutOf(options);
  const tableBytes = tableSize * unit;
  const l1At = unit;
  /** L1 index → where its L2 table begins. */
  const tables = new Map<number, number>();
  let present = new Uint8Array(0);
  let current = -1;
  let next = l1At + tableBytes;

  /** A table at byte `tableAt` from the values of its entries, 0 where there is none. */
  function* tableWrites(tableAt: number, valueAt: (entry: number) => number): Generator<Write> {
    for (let first = 0; first < entries; first += WRITE_ENTRIES) {
      const bytes = new Uint8Array(Math.min(WRITE_ENTRIES, entries - first) * ENTRY_BYTES);
      const view = new DataView(bytes.buffer);
      let isEmpty = true;
      for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
        const value = valueAt(first + at / ENTRY_BYTES);
        if (value === 0) continue;
        view.setBigUint64(at, BigInt(value), true);
        isEmpty = false;
      }
      if (!isEmpty) yield { file: 0, at: tableAt + first * ENTRY_BYTES, bytes };
    }
  }

  /** The L2 table that is being filled: its clusters follow it in order. */
  function* currentTable(): Generator<Write> {
    const tableAt = tables.get(current);
    if (tableAt === undefined) return;
    let cluster = tableAt + tableBytes;
    yield* tableWrites(tableAt, (entry) => {
      if (((present[entry >> 3] as number) & (1 << (entry & 7))) === 0) return 0;
      cluster += unit;
      return cluster - unit;
    });
  }

  return {
    unit,
    files: [name],
    encoding: null,
    sequential: false,
    *put(index, block) {
      if (block.kind === "packed") throw new TypeError("qed: blocks are never packed");
      const table = Math.floor(index / entries);
      if (table !== current) {
        yield* currentTable();
        current = table;
        present = new Uint8Array(entries / 8);
        tables.set(table, next);
        next += tableBytes;
      }
      const entry = index % entries;
      present[entry >> 3] = (present[entry >> 3] as number) | (1 << (entry & 7));
      yield { file: 0, at: next, bytes: block.bytes };
      next += unit;
    },
    end() {
      const header = Header.write({
        magic: MAGIC,
        cluster_size: unit,
        table_size: tableSize,
        header_size: 1,
        features: 0n,
        compat_features: 0n,
        autoclear_features: 0n,
        l1_table_offset: BigInt(l1At),
        image_size: BigInt(wholeSectors(size)),
        backing_filename_offset: 0,
        backing_filename_size: 0,
      });
      function* writes(): Generator<Write> {
        yield* currentTable();
        yield* tableWrites(l1At, (entry) => tables.get(entry) ?? 0);
        yield { file: 0, at: 0, bytes: header };
      }
      return { writes: writes(), sizes: [next] };
    },
  };
}
