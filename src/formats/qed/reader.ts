import { DiskError } from "../../core/errors.ts";
import { type ByteSource, type Extent, type Note, type OpenContext, RUN_DATA, RUN_HOLE, type Volume } from "../../core/model.ts";
import { runOf } from "../../core/table-runs.ts";
import { type QedHeader, readHeader } from "./header.ts";
import { ENTRY_BYTES, FEATURE_NEED_CHECK } from "./spec.ts";
import { type TablePiece, Tables } from "./tables.ts";

/** Extents of one answer. */
const MOST_EXTENTS = 4096;

/** Opens one image as one layer; the backing file is named, not opened. */
export async function openQed(file: ByteSource, { compute }: OpenContext): Promise<Volume> {
  const header = await readHeader(file);
  const { fields, size, unit } = header;
  const tables = new Tables(file, header, compute.scanTable);
  return {
    format: "qed",
    variant: header.backing === null ? "" : "with backing file",
    size,
    unit,
    files: [file],
    parent: header.backing,
    identity: null,
    snapshots: [],
    unsupported: [],
    notes: notesOn(header, tables),
    encrypted: false,
    details: {
      "cluster-size": unit,
      "table-size": fields.table_size,
      "header-size": fields.header_size,
      features: `0x${fields.features.toString(16)}`,
      "compat-features": `0x${fields.compat_features.toString(16)}`,
      "autoclear-features": `0x${fields.autoclear_features.toString(16)}`,
      "l1-table-offset": header.l1At,
    },
    extents: (start, length, signal) => readExtents(file, header, tables, start, length, signal),
  };
}

/** What is unusual about an image, damage aside. */
export function notesOn({ fields }: QedHeader, tables: Tables): Note[] {
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  if ((fields.features & FEATURE_NEED_CHECK) !== 0n)
    warn("The image was not closed properly and is marked as needing a check; every table entry is checked as it is read.");
  if (!tables.tracked) warn("The file has too many clusters to look for those that are used twice.");
  return notes;
}

async function readExtents(
  file: ByteSource,
  header: QedHeader,
  tables: Tables,
  start: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<readonly Extent[]> {
  signal?.throwIfAborted();
  const { span, size, tableBytes, unit, entries } = header;
  const l1Index = Math.floor(start / span);
  const l1 = await tables.l1Piece(l1Index);
  const run = runOf(l1.runs, l1Index - l1.first);
  const firstOfRun = l1.first + (l1.runs.first[run] as number);
  if (l1.runs.kind[run] === RUN_HOLE) {
    const end = Math.min(start + length, (firstOfRun + (l1.runs.count[run] as number)) * span);
    return [{ kind: "hole", start, length: end - start }];
  }
  const tableAt = (l1.runs.at[run] as number) + (l1Index - firstOfRun) * tableBytes;
  const problem = tables.problem(l1, l1Index, tableAt, tableBytes);
  if (problem !== null) {
    const guest = { start: l1Index * span, length: Math.min(span, size - l1Index * span) };
    throw new DiskError("corrupt", `qed: L1 entry ${l1Index} of ${file.name} ${problem}`, {
      file: file.name,
      at: l1.at + (l1Index - l1.first) * ENTRY_BYTES,
      guest,
    });
  }
  const piece = await tables.l2Piece(tableAt, Math.floor(start / unit) - l1Index * entries);
  return dataExtents(file, header, tables, piece, l1Index, start, Math.min(length, (l1Index + 1) * span - start));
}

/** Of one piece of an L2 table; stops at its end, or before what is damaged. */
function dataExtents(
  file: ByteSource,
  { unit, size, span }: QedHeader,
  tables: Tables,
  piece: TablePiece,
  l1Index: number,
  start: number,
  length: number,
): readonly Extent[] {
  const { runs, first } = piece;
  const out: Extent[] = [];
  const end = start + length;
  const tableStart = l1Index * span;
  let at = start;
  for (let run = runOf(runs, Math.floor((start - tableStart) / unit) - first); run < runs.length && at < end; run++) {
    if (out.length >= MOST_EXTENTS) break;
    const runStart = tableStart + (first + (runs.first[run] as number)) * unit;
    const stop = Math.min(end, runStart + (runs.count[run] as number) * unit);
    if (runs.kind[run] !== RUN_DATA) {
      out.push({ kind: runs.kind[run] === RUN_HOLE ? "hole" : "zero", start: at, length: stop - at });
      at = stop;
      continue;
    }
    const shift = (runs.at[run] as number) - runStart;
    let sound = at;
    while (sound < stop) {
      const cluster = Math.floor((sound - tableStart) / unit);
      const guest = { start: tableStart + cluster * unit, length: Math.min(unit, size - tableStart - cluster * unit) };
      const problem = tables.problem(piece, cluster, guest.start + shift, guest.length);
      if (problem !== null) {
        if (sound > at) out.push({ kind: "raw", start: at, length: sound - at, file: 0, at: at + shift });
        if (out.length > 0) return out;
        throw new DiskError("corrupt", `qed: L2 entry ${cluster} of ${file.name} ${problem}`, {
          file: file.name,
          at: piece.at + (cluster - first) * ENTRY_BYTES,
          guest,
        });
      }
      sound = Math.min(stop, guest.start + unit);
    }
    out.push({ kind: "raw", start: at, length: stop - at, file: 0, at: at + shift });
    at = stop;
  }
  return out;
}
