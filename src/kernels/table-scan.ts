import type { ScanTable, TableLayout, TableRuns } from "../core/model.ts";
import { type Arena, RESULT_BYTES } from "./arena.ts";

/** Entries per call: their runs fill the result region. */
const STEP = 4096;
const KINDS = 0;
const FIRSTS = STEP;
const POSITIONS = STEP * 5;
/** The parameter block of assembly/table-runs.ts lies at the end of the result region. */
const PARAMETERS = RESULT_BYTES - 96;
const PARAMETER = {
  mask: 0,
  holeValue: 8,
  zeroValue: 16,
  zeroBits: 24,
  packedBits: 32,
  scale: 40,
  base: 48,
  unit: 56,
  entryBytes: 64,
  bigEndian: 68,
  holeTest: 72,
  hasZeroValue: 76,
  openKind: 92,
};
const NO_OPEN_RUN = 255;
const HOLE_WHEN_UNMASKED = 0;
const HOLE_WHEN_EQUAL = 1;
const HOLE_NEVER = 2;

const fits = (value: bigint): boolean => BigInt.asUintN(64, value) === value;

function writeParameters(view: DataView, at: number, layout: TableLayout): void {
  const u64 = (field: number, value: bigint) => view.setBigUint64(at + field, BigInt.asUintN(64, value), true);
  const u32 = (field: number, value: number) => view.setUint32(at + field, value, true);
  const f64 = (field: number, value: number) => view.setFloat64(at + field, value, true);
  const { hole, zero } = layout;
  u64(PARAMETER.mask, layout.mask);
  u64(PARAMETER.holeValue, hole ?? 0n);
  u64(PARAMETER.zeroValue, zero ?? 0n);
  u64(PARAMETER.zeroBits, layout.zeroBits);
  u64(PARAMETER.packedBits, layout.packedBits);
  f64(PARAMETER.scale, layout.scale);
  f64(PARAMETER.base, layout.base);
  f64(PARAMETER.unit, layout.unit);
  u32(PARAMETER.entryBytes, layout.entryBytes);
  u32(PARAMETER.bigEndian, layout.endian === "be" ? 1 : 0);
  // A value that no 64-bit entry can have equals none.
  u32(PARAMETER.holeTest, hole === null ? HOLE_WHEN_UNMASKED : fits(hole) ? HOLE_WHEN_EQUAL : HOLE_NEVER);
  u32(PARAMETER.hasZeroValue, zero !== null && fits(zero) ? 1 : 0);
  u32(PARAMETER.openKind, NO_OPEN_RUN);
}

/** The table kernel, for tables of any size: it is fed part by part and keeps the open run between parts. */
export function tableScan(arena: Arena): ScanTable {
  const { kernels, memory, scratch, result } = arena;
  return (table, layout) => {
    const { entryBytes } = layout;
    const entries = Math.floor(table.length / entryBytes);
    const parts: Omit<TableRuns, "count">[] = [];
    let length = 0;
    writeParameters(new DataView(memory.buffer), result + PARAMETERS, layout);
    for (let first = 0; first < entries; first += STEP) {
      const step = Math.min(STEP, entries - first);
      memory.set(table.subarray(first * entryBytes, (first + step) * entryBytes), scratch);
      const places = [result + KINDS, result + FIRSTS, result + POSITIONS] as const;
      const runs = kernels.tableRuns(scratch, step, first, result + PARAMETERS, ...places);
      length += runs;
      parts.push({
        length: runs,
        kind: memory.slice(places[0], places[0] + runs),
        first: new Uint32Array(memory.buffer, places[1], runs).slice(),
        at: new Float64Array(memory.buffer, places[2], runs).slice(),
      });
    }
    return joinParts(parts, length, entries);
  };
}

function joinParts(parts: readonly Omit<TableRuns, "count">[], length: number, entries: number): TableRuns {
  const kind = new Uint8Array(length);
  const first = new Uint32Array(length);
  const count = new Uint32Array(length);
  const at = new Float64Array(length);
  let done = 0;
  for (const part of parts) {
    kind.set(part.kind, done);
    first.set(part.first, done);
    at.set(part.at, done);
    done += part.length;
  }
  for (let run = 0; run < length; run++) count[run] = (run + 1 < length ? (first[run + 1] as number) : entries) - (first[run] as number);
  return { length, kind, first, count, at };
}
