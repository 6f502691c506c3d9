import { DiskError } from "../../core/errors.ts";
import { type ByteSource, type Extent, type Note, type OpenContext, RUN_DATA, type Volume } from "../../core/model.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { runOf } from "../../core/table-runs.ts";
import { BlockTable } from "./block-table.ts";
import { type Extension, readExtension } from "./extension.ts";
import { type ImageHeader, readHeader } from "./header.ts";
import { ENTRY_BYTES, Header, MAGIC_CLUSTERS } from "./spec.ts";

/** Extents of one answer. */
const MOST_EXTENTS = 4096;

/** One expanding image. A cluster that it does not hold is a hole: zero, or the image's below it in a bundle. */
export async function openImage(file: ByteSource, { compute }: Pick<OpenContext, "compute">): Promise<Volume> {
  const header = await readHeader(file);
  const { fields, size, unit, magic } = header;
  const table = new BlockTable(file, header, compute.scanTable);
  const extension = await readExtension(file, header, table);
  return {
    ...STANDALONE,
    format: "parallels",
    variant: magic === MAGIC_CLUSTERS ? "extended" : "old magic",
    size,
    unit,
    files: [file],
    notes: [...header.notes, ...notesOn(file, extension, table)],
    details: {
      magic,
      "cluster-size": unit,
      heads: fields.heads,
      cylinders: fields.cylinders,
      "bat-entries": header.entries,
      "data-offset": header.dataAt,
      "in-use": fields.in_use,
      bitmaps: (extension?.bitmaps ?? []).map(({ id, granularity }) => ({ id, granularity })),
    },
    extents: extentsOf(file, header, table),
  };
}

function notesOn(file: ByteSource, extension: Extension | null, table: BlockTable): Note[] {
  const notes: Note[] = [];
  if (!table.tracked) notes.push({ text: `${file.name} has too many clusters to look for those used twice.`, severity: "warning" });
  if (extension === null) return notes;
  const { bitmaps, unknown, problem } = extension;
  if (problem !== null) notes.push({ text: `The format extension of ${file.name} cannot be read: ${problem}.`, severity: "warning" });
  if (bitmaps.length > 0)
    notes.push({ text: `Dirty bitmaps, which backup programs keep: ${bitmaps.map(({ id }) => id).join(", ")}.`, severity: "info" });
  if (unknown.length > 0) notes.push({ text: `Features that are not known: ${unknown.join(", ")}.`, severity: "info" });
  return notes;
}

function extentsOf(file: ByteSource, { unit, size }: ImageHeader, table: BlockTable): Volume["extents"] {
  return async (start, length, signal) => {
    signal?.throwIfAborted();
    const piece = await table.piece(Math.floor(start / unit));
    const { runs, first } = piece;
    const out: Extent[] = [];
    const end = start + length;
    let at = start;
    for (let run = runOf(runs, Math.floor(start / unit) - first); run < runs.length && at < end && out.length < MOST_EXTENTS; run++) {
      const runStart = (first + (runs.first[run] as number)) * unit;
      const stop = Math.min(end, runStart + (runs.count[run] as number) * unit);
      if (runs.kind[run] !== RUN_DATA) out.push({ kind: "hole", start: at, length: stop - at });
      else {
        const shift = (runs.at[run] as number) - runStart;
        let sound = at;
        let problem: string | null = null;
        while (sound < stop) {
          const entry = Math.floor(sound / unit);
          problem = table.problem(piece, entry, entry * unit + shift);
          if (problem !== null) break;
          sound = Math.min(stop, (entry + 1) * unit);
        }
        if (sound > at) out.push({ kind: "raw", start: at, length: sound - at, file: 0, at: at + shift });
        if (problem !== null) {
          if (out.length === 0) throw damage(file, Math.floor(at / unit), problem, unit, size);
          return out;
        }
      }
      at = stop;
    }
    return out;
  };
}

function damage(file: ByteSource, entry: number, problem: string, unit: number, size: number): DiskError {
  return new DiskError("corrupt", `parallels: block table entry ${entry} of ${file.name} ${problem}`, {
    file: file.name,
    at: Header.bytes + entry * ENTRY_BYTES,
    guest: { start: entry * unit, length: Math.min(unit, size - entry * unit) },
  });
}
