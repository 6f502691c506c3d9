import { backingName } from "../../core/backing-file.ts";
import type { ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { wholeSectors } from "../../core/whole-sectors.ts";
import { layoutOf } from "./options.ts";
import { ENTRY_BYTES, ENTRY_ZERO, FEATURE_BACKING, FEATURE_RAW_BACKING, Header, MAGIC } from "./spec.ts";

/** Bytes of a table that are written at once. */
const WRITE_BYTES = 1 << 20;
const WRITE_ENTRIES = WRITE_BYTES / ENTRY_BYTES;
const ABSENT = 0;
const CLUSTER = 1;
const ZERO = 2;

/**
 * Header, L1 table, then every L2 table in front of its clusters, which follow one another. An L2 table is written when the
 * next one begins: memory holds one byte per entry of it. Pieces of tables without entries are left as zeros.
 */
export function createQed({ size, name, options, base }: TargetSpec): ImageWriter {
  const { unit, tableSize, entries } = layoutOf(options);
  const tableBytes = tableSize * unit;
  const l1At = unit;
  /** L1 index → where its L2 table begins. */
  const tables = new Map<number, number>();
  /** What its entries are: nothing, a cluster, or zeros. */
  let states = new Uint8Array(0);
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
      if (states[entry] === ABSENT) return 0;
      if (states[entry] === ZERO) return Number(ENTRY_ZERO);
      cluster += unit;
      return cluster - unit;
    });
  }

  /** Remembers what an entry is; the table before its own is written. */
  function* enter(index: number, state: number): Generator<Write> {
    const table = Math.floor(index / entries);
    if (table !== current) {
      yield* currentTable();
      current = table;
      states = new Uint8Array(entries);
      tables.set(table, next);
      next += tableBytes;
    }
    states[index % entries] = state;
  }

  return {
    unit,
    files: [name],
    encoding: null,
    sequential: false,
    *put(index, block) {
      if (block.kind === "packed") throw new TypeError("qed: blocks are never packed");
      yield* enter(index, CLUSTER);
      yield { file: 0, at: next, bytes: block.bytes };
      next += unit;
    },
    putZero: (index) => enter(index, ZERO),
    end() {
      const backing = base === undefined ? null : new TextEncoder().encode(backingName(base));
      const header = Header.write({
        magic: MAGIC,
        cluster_size: unit,
        table_size: tableSize,
        header_size: 1,
        features: base === undefined ? 0n : FEATURE_BACKING | (base.format === "raw" ? FEATURE_RAW_BACKING : 0n),
        compat_features: 0n,
        autoclear_features: 0n,
        l1_table_offset: BigInt(l1At),
        image_size: BigInt(wholeSectors(size)),
        backing_filename_offset: backing === null ? 0 : Header.bytes,
        backing_filename_size: backing?.length ?? 0,
      });
      function* writes(): Generator<Write> {
        yield* currentTable();
        yield* tableWrites(l1At, (entry) => tables.get(entry) ?? 0);
        yield { file: 0, at: 0, bytes: header };
        if (backing !== null) yield { file: 0, at: Header.bytes, bytes: backing };
      }
      return { writes: writes(), sizes: [next] };
    },
  };
}
