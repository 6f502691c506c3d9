import { DiskError } from "../../core/errors.ts";
import {
  type ByteSource,
  type Extent,
  type Note,
  type Range,
  RUN_DATA,
  RUN_HOLE,
  RUN_PACKED,
  RUN_ZERO,
  type TableRuns,
} from "../../core/model.ts";
import { firstAtLeast } from "../../core/sorted.ts";
import type { Directory } from "./directory.ts";
import { GrainTables } from "./grain-tables.ts";
import { inflatedLength } from "./inflated-length.ts";
import { GRAIN_HEADER_BYTES, SECTOR, type SparseHeader, tableSpan } from "./spec.ts";

/** Extents per answer, about. */
const ENOUGH = 4096;
/** Marker, data and padding of a grain that does not shrink: qemu-img allows twice the grain. */
const recordBound = (grain: number): number => grain * 2 + SECTOR;

/**
 * One sparse extent of any kind: header, directory and tables. Positions on the disk count from the extent's own start.
 */
export interface SparseExtent {
  /** As the descriptor's extent line calls it. */
  readonly kind: "SPARSE" | "VMFSSPARSE" | "SESPARSE";
  readonly source: ByteSource;
  readonly header: SparseHeader;
  /** The primary directory, or the redundant one in its place. */
  readonly directory: Directory;
  /** Where the room that grains were given ends; 0: that is not told, so lost grains cannot be found. */
  readonly grainsEnd: number;
  readonly notes: readonly Note[];
  /** What is well formed, but keeps the data from being read here. */
  readonly unsupported: readonly string[];
  /** What a table says; entries that mean nothing come out as RUN_PACKED. */
  runsOf(table: Uint8Array): TableRuns;
}

/** A grain that an entry places in the file. */
interface Grain {
  /** Place on the extent's disk; the last grain is cut at the capacity. */
  readonly start: number;
  readonly length: number;
  readonly at: number;
}

/** Answers `extents` for one sparse extent, whose source is `files[fileIndex]` of the volume. */
export class SparseMap {
  readonly #extent: SparseExtent;
  readonly #fileIndex: number;
  readonly #tables: GrainTables;

  constructor(extent: SparseExtent, fileIndex: number) {
    this.#extent = extent;
    this.#tables = new GrainTables(extent.source, extent.directory);
    this.#fileIndex = fileIndex;
  }

  /** See `Volume.extents`; stops early before a second read of tables and before damage. */
  async extents(start: number, length: number, signal?: AbortSignal): Promise<Extent[]> {
    const { directory, header } = this.#extent;
    const span = tableSpan(header);
    const end = start + length;
    const out: Extent[] = [];
    for (let at = start; at < end && out.length < ENOUGH; ) {
      const index = Math.floor(at / span);
      const kind = directory.kindOf(index);
      if (kind !== "table") {
        let next = index + 1;
        while (next * span < end && directory.kindOf(next) === kind) next++;
        push(out, { kind, start: at, length: Math.min(next * span, end) - at });
        at = Math.min(next * span, end);
        continue;
      }
      if (!this.#tables.isKept(index) && out.length > 0) break;
      signal?.throwIfAborted();
      const table = await this.#tables.read(index, signal);
      const stop = Math.min((index + 1) * span, end);
      try {
        await this.#addTable(out, index, table, at, stop);
      } catch (error) {
        // What lies before the damage is known: the caller comes back for the rest.
        if (error instanceof DiskError && out.length > 0) break;
        throw error;
      }
      at = stop;
    }
    return out;
  }

  /** Adds what one table says about `from..to`. */
  async #addTable(out: Extent[], index: number, table: Uint8Array, from: number, to: number): Promise<void> {
    const { header } = this.#extent;
    const runs = this.#extent.runsOf(table);
    const base = index * tableSpan(header);
    const places = header.compressed ? sortedPlaces(runs, header.grain) : null;
    for (let r = 0; r < runs.length; r++) {
      const runStart = base + (runs.first[r] as number) * header.grain;
      const start = Math.max(runStart, from);
      const stop = Math.min(runStart + (runs.count[r] as number) * header.grain, to);
      if (start >= stop) continue;
      const kind = runs.kind[r] as number;
      if (kind === RUN_PACKED) throw this.#badEntry(index, (start - base) / header.grain, start, stop);
      if (kind === RUN_HOLE || kind === RUN_ZERO) push(out, { kind: kind === RUN_HOLE ? "hole" : "zero", start, length: stop - start });
      else if (places === null) this.#addRaw(out, { start, length: stop - start, at: (runs.at[r] as number) + (start - runStart) });
      else await this.#addPacked(out, places, { start, length: stop - start, at: runs.at[r] as number }, runStart);
    }
  }

  /** Plain grains that follow each other in the file; those before the first damaged one are added. */
  #addRaw(out: Extent[], run: Grain): void {
    const { header, directory, source } = this.#extent;
    const metadata = directory.firstMetadataIn(run.at, run.at + run.length);
    const inside = Math.min(run.length, Math.max(0, Math.min(source.size, metadata) - run.at));
    const low = run.at < directory.dataStart;
    const sound = low ? 0 : inside === run.length ? inside : this.#wholeGrains(run, inside);
    if (sound > 0) push(out, { kind: "raw", start: run.start, length: sound, file: this.#fileIndex, at: run.at });
    if (sound === run.length) return;
    const start = run.start + sound;
    const guest = { start, length: Math.min(header.grain - (start % header.grain), run.length - sound) };
    throw this.#badGrain(guest, run.at + sound, guest.length);
  }

  /** `inside` bytes of the run lie in the file: the length of its whole grains, counted from grain borders of the disk. */
  #wholeGrains(run: Grain, inside: number): number {
    const { grain } = this.#extent.header;
    return Math.max(0, Math.floor((run.start + inside) / grain) * grain - run.start);
  }

  #badEntry(table: number, entry: number, start: number, end: number): DiskError {
    const { source, directory, header } = this.#extent;
    const number = Math.floor(entry);
    const at = directory.tableAt(table) + number * directory.entryBytes;
    return new DiskError("corrupt", `vmdk: grain table ${table}, entry ${number} is none of the kinds that there are`, {
      file: source.name,
      at,
      guest: { start, length: Math.min(header.grain - (start % header.grain), end - start) },
    });
  }

  #badGrain(guest: Range, at: number, needed: number): DiskError {
    const { source, directory } = this.#extent;
    const why =
      at < directory.dataStart
        ? `byte ${at}, inside the metadata that ends at byte ${directory.dataStart}`
        : at + needed > source.size
          ? `byte ${at}, but the file ends at byte ${source.size}: it is truncated or damaged`
          : `byte ${at}, on top of a grain table`;
    return new DiskError("corrupt", `vmdk: a grain table places the grain at disk offset ${guest.start} at ${why}`, {
      file: source.name,
      at,
      guest,
    });
  }

  /** Compressed grains: one extent each. */
  async #addPacked(out: Extent[], places: Float64Array, run: Grain, runStart: number): Promise<void> {
    const { header, source, directory } = this.#extent;
    const { grain } = header;
    const least = header.markers ? GRAIN_HEADER_BYTES : 2;
    for (let at = run.start; at < run.start + run.length; ) {
      const grainStart = Math.floor(at / grain) * grain;
      const stop = Math.min(grainStart + grain, run.start + run.length);
      const place = run.at + (grainStart - runStart);
      const end = Math.min(
        nextPlace(places, place),
        directory.firstMetadataIn(place, place + recordBound(grain)),
        place + recordBound(grain),
      );
      const packed = Math.min(end, source.size) - place;
      const guest = { start: at, length: stop - at };
      if (place < directory.dataStart || packed <= least) throw this.#badGrain(guest, place, least + 1);
      const unpacked = await this.#unpackedLength(grainStart, place, packed);
      const tag = header.markers ? { tag: grainStart / SECTOR } : {};
      const codec = header.markers ? "grain" : "zlib";
      out.push({ kind: "packed", ...guest, file: this.#fileIndex, at: place, packed, codec, skip: at - grainStart, unpacked, ...tag });
      at = stop;
    }
  }

  /** A whole grain, except that some writers (qemu-img) cut the last one at the capacity before they compress it. */
  async #unpackedLength(grainStart: number, place: number, packed: number): Promise<number> {
    const { header, source } = this.#extent;
    const inside = header.capacity - grainStart;
    if (inside >= header.grain) return header.grain;
    const record = await source.read(place, packed);
    const length = inflatedLength(record, header.markers ? GRAIN_HEADER_BYTES : 0, header.grain);
    // Damaged: the decoder says so, with its own reasons.
    return length === null || length < inside ? header.grain : length;
  }
}

/** Where the grains of one table lie, ascending. */
function sortedPlaces(runs: TableRuns, grain: number): Float64Array {
  const places: number[] = [];
  for (let r = 0; r < runs.length; r++) {
    if (runs.kind[r] !== RUN_DATA) continue;
    for (let i = 0; i < (runs.count[r] as number); i++) places.push((runs.at[r] as number) + i * grain);
  }
  return Float64Array.from(places).sort();
}

/** The first of the ascending places past `place`. */
function nextPlace(places: Float64Array, place: number): number {
  return places[firstAtLeast(places, place + 1)] ?? Number.POSITIVE_INFINITY;
}

/** Adds an extent, joined to the one before it where both say the same. */
export function push(out: Extent[], next: Extent): void {
  const last = out[out.length - 1];
  const joins =
    last !== undefined &&
    last.start + last.length === next.start &&
    ((last.kind === next.kind && (next.kind === "hole" || next.kind === "zero")) ||
      (last.kind === "raw" && next.kind === "raw" && last.file === next.file && last.at + last.length === next.at));
  if (joins) out[out.length - 1] = { ...last, length: last.length + next.length };
  else out.push(next);
}
