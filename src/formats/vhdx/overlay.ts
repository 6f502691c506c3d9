import { checkRange } from "../../core/bytes.ts";
import type { ByteSource } from "../../core/model.ts";

/** Bytes `start..end` of a file, replaced by `data` or, when that is null, by zeros. */
export interface Patch {
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array | null;
}

/** Where a part of the patched file comes from. */
export interface Part {
  readonly from: "file" | "patch" | "zero";
  readonly at: number;
  readonly length: number;
}

/** A file as it would be after some writes to it. */
export interface PatchedFile {
  /** Everything, read here (its origin is null). */
  readonly source: ByteSource;
  /** Parts, in order and without gaps, of bytes that lie inside the patched file. */
  parts(at: number, length: number): Iterable<Part>;
}

/** `patches`: oldest first, later ones win. `size` is at least the file's; what is added reads as zero. */
export function patchFile(file: ByteSource, patches: readonly Patch[], size: number): PatchedFile {
  const cells = settle(patches);

  function* parts(at: number, length: number): Generator<Part> {
    const end = at + length;
    for (let next = at, i = firstEndingAfter(cells, at); next < end; i++) {
      const cell = cells[i];
      const gapEnd = Math.min(end, cell?.start ?? end);
      const inFile = Math.min(gapEnd, file.size);
      if (next < inFile) {
        yield { from: "file", at: next, length: inFile - next };
        next = inFile;
      }
      if (next < gapEnd) yield { from: "zero", at: next, length: gapEnd - next };
      next = Math.max(next, gapEnd);
      if (cell === undefined || next >= end) continue;
      const stop = Math.min(end, cell.end);
      yield { from: cell.data === null ? "zero" : "patch", at: next, length: stop - next };
      next = stop;
    }
  }

  const source: ByteSource = {
    name: file.name,
    size,
    origin: null,
    async read(at, length, signal) {
      checkRange(this, at, length);
      const out = new Uint8Array(length);
      for (const part of parts(at, length)) {
        if (part.from === "file") out.set(await file.read(part.at, part.length, signal), part.at - at);
        if (part.from !== "patch") continue;
        const { start, data } = cells[firstEndingAfter(cells, part.at)] as Patch;
        out.set((data as Uint8Array).subarray(part.at - start, part.at - start + part.length), part.at - at);
      }
      return out;
    },
  };
  return { source, parts };
}

/**
 * The patches cut so that they no longer overlap, ascending. Newest first, each takes the places that no newer one has; a table of
 * the next free place keeps that linear however the patches lie.
 */
function settle(patches: readonly Patch[]): readonly Patch[] {
  const borders = [...new Set(patches.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b);
  const index = new Map(borders.map((border, i) => [border, i]));
  const owner = new Array<Patch | undefined>(borders.length);
  const nextFree = Uint32Array.from(borders, (_, i) => i);
  const free = (from: number): number => {
    let place = from;
    while (nextFree[place] !== place) {
      nextFree[place] = nextFree[nextFree[place] as number] as number;
      place = nextFree[place] as number;
    }
    return place;
  };
  for (const patch of patches.toReversed()) {
    const stop = index.get(patch.end) as number;
    for (let i = free(index.get(patch.start) as number); i < stop; i = free(i)) {
      owner[i] = patch;
      nextFree[i] = i + 1;
    }
  }
  return borders.flatMap((start, i) => {
    const patch = owner[i];
    if (patch === undefined) return [];
    const end = borders[i + 1] as number;
    return [{ start, end, data: patch.data?.subarray(start - patch.start, end - patch.start) ?? null }];
  });
}

/** Index of the first of the ascending patches that ends past `at`. */
function firstEndingAfter(cells: readonly Patch[], at: number): number {
  let low = 0;
  let high = cells.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cells[middle] as Patch).end > at) high = middle;
    else low = middle + 1;
  }
  return low;
}
