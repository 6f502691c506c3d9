import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Extent, Note } from "../../core/model.ts";
import type { ExtentLine } from "./descriptor.ts";
import { SECTOR } from "./spec.ts";

/** A flat file this much longer than what the descriptor uses of it is worth a word. */
const MUCH_LONGER = 1 << 20;

/** A stretch of the disk: what one extent of the descriptor holds. `extents` counts from the part's own start. */
export interface Part {
  readonly start: number;
  readonly length: number;
  extents(start: number, length: number, signal?: AbortSignal): Promise<readonly Extent[]> | readonly Extent[];
}

/** [1] "Simple Extents": plain bytes of a file. */
export function flatPart(start: number, line: ExtentLine, source: ByteSource, file: number): Part {
  const { size: length, offset } = line;
  if (offset + length > source.size)
    throw new DiskError(
      "corrupt",
      `vmdk: the extent “${line.name}” is to hold ${length / SECTOR} sectors from sector ${offset / SECTOR}, but ${source.name} ends at byte ${source.size}: it is truncated or another file`,
      {
        file: source.name,
        at: source.size,
        guest: { start: start + Math.max(0, source.size - offset), length: length - Math.max(0, source.size - offset) },
      },
    );
  return { start, length, extents: (from, count) => [{ kind: "raw", start: from, length: count, file, at: offset + from }] };
}

/** [1]: a ZERO extent has no file and is zero, whatever a parent holds. */
export function zeroPart(start: number, { size: length }: ExtentLine): Part {
  return { start, length, extents: (from, count) => [{ kind: "zero", start: from, length: count }] };
}

/** A file's stretch that an extent uses. */
export interface UsedRange {
  readonly file: number;
  readonly start: number;
  readonly end: number;
  readonly line: number;
}

/** No two extents may show the same bytes; and the tail of a file that none shows is mentioned. */
export function reviewFlatFiles(used: readonly UsedRange[], files: readonly ByteSource[]): Note[] {
  const sorted = [...used].sort((a, b) => a.file - b.file || a.start - b.start);
  const notes: Note[] = [];
  sorted.forEach((range, i) => {
    const next = sorted[i + 1];
    const { name, size } = files[range.file] as ByteSource;
    if (next !== undefined && next.file === range.file) {
      if (next.start < range.end)
        throw new DiskError("corrupt", `vmdk: descriptor lines ${range.line} and ${next.line} use the same sectors of ${name}`, {
          file: name,
        });
    } else if (size - range.end > MUCH_LONGER)
      notes.push({ severity: "warning", text: `${name} has ${size - range.end} bytes that the descriptor does not use` });
  });
  return notes;
}
