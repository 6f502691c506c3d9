import { RUN_DATA, RUN_HOLE, RUN_PACKED, RUN_ZERO, type ScanTable, type TableLayout, type TableRuns } from "./model.ts";
import { firstAbove } from "./sorted.ts";

function kindOf(entry: bigint, layout: TableLayout): number {
  if ((entry & layout.packedBits) !== 0n) return RUN_PACKED;
  if ((entry & layout.zeroBits) !== 0n || entry === layout.zero) return RUN_ZERO;
  if (layout.hole === null ? (entry & layout.mask) === 0n : entry === layout.hole) return RUN_HOLE;
  return RUN_DATA;
}

/** The plain statement of what the table kernel computes; see `ScanTable`. */
export const scanTable: ScanTable = (table, layout) => {
  const { entryBytes, mask, scale, base, unit } = layout;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const little = layout.endian === "le";
  const entries = Math.floor(table.length / entryBytes);
  const kind: number[] = [];
  const first: number[] = [];
  const at: number[] = [];
  for (let i = 0; i < entries; i++) {
    const entry = entryBytes === 4 ? BigInt(view.getUint32(i * 4, little)) : view.getBigUint64(i * 8, little);
    const k = kindOf(entry, layout);
    const position = k === RUN_DATA ? base + Number(entry & mask) * scale : 0;
    const last = kind.length - 1;
    const joins =
      last >= 0 &&
      k === kind[last] &&
      k !== RUN_PACKED &&
      (k !== RUN_DATA || position === (at[last] as number) + (i - (first[last] as number)) * unit);
    if (joins) continue;
    kind.push(k);
    first.push(i);
    at.push(position);
  }
  const length = kind.length;
  const count = Uint32Array.from(first, (start, run) => (run + 1 < length ? (first[run + 1] as number) : entries) - start);
  return { length, kind: Uint8Array.from(kind), first: Uint32Array.from(first), count, at: Float64Array.from(at) };
};

/** The run that holds `entry` (counted from the table's first). */
export const runOf = ({ first }: Pick<TableRuns, "first">, entry: number): number => firstAbove(first, entry) - 1;
