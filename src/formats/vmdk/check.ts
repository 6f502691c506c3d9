import { DiskError } from "../../core/errors.ts";
import type { ByteSource, CheckReport, Finding, OpenContext } from "../../core/model.ts";
import { type Directory, readDirectory } from "./directory.ts";
import { GrainTables } from "./grain-tables.ts";
import { openVmdk, type PlacedSparse } from "./reader.ts";
import { SharedPlaces } from "./shared-places.ts";
import {
  GRAIN_HEADER_BYTES,
  GTE_ZEROED,
  GTES_PER_GT,
  MARKER_GD,
  MARKER_GT,
  Marker,
  MOST_DIRECTORY_BYTES,
  SECTOR,
  tableSpan,
} from "./spec.ts";

const MOST_FINDINGS = 1000;
/** Grain markers are looked up in pieces of the file of this size. */
const WINDOW = 1 << 20;

/** What the checks of all extents add up to. */
class Tally {
  corruptions = 0;
  allocated = 0;
  total = 0;
  compressed = 0;
  fragmented = 0;
  imageEnd = 0;
  readonly findings: Finding[] = [];

  find(finding: Finding): void {
    if (finding.severity === "corruption") this.corruptions++;
    if (this.findings.length < MOST_FINDINGS) this.findings.push(finding);
  }
}

/**
 * Every entry of every table: in range, apart from the metadata and from all other grains; the redundant tables equal;
 * the markers of a stream in place. Linear in the tables (and, for streams, one marker per grain). What keeps the image
 * from being opened at all is thrown, as by `open`.
 */
export async function checkVmdk(file: ByteSource, context: OpenContext, signal?: AbortSignal): Promise<CheckReport> {
  const volume = await openVmdk(file, context);
  if (volume.unsupported.length > 0)
    throw new DiskError("unsupported", `vmdk: cannot be checked here: ${volume.unsupported.join(", ")}`, { file: file.name });
  const tally = new Tally();
  for (const { severity, text } of volume.notes) if (severity === "warning") tally.find({ severity, text, at: null, guest: null });
  for (const placed of volume.sparse) await new SparseCheck(placed, tally, signal).run();
  if (volume.sparse.length === 0) {
    tally.imageEnd = file.size;
    tally.total = Math.ceil(volume.size / volume.unit);
    tally.allocated = tally.total;
  }
  return {
    corruptions: tally.corruptions,
    leaks: 0,
    allocatedClusters: tally.allocated,
    totalClusters: tally.total,
    compressedClusters: tally.compressed,
    fragmentedClusters: tally.fragmented,
    imageEndOffset: tally.imageEnd,
    findings: tally.findings,
  };
}

class SparseCheck {
  readonly #placed: PlacedSparse;
  readonly #tally: Tally;
  readonly #signal: AbortSignal | undefined;
  readonly #tables: GrainTables;
  readonly #shared = new SharedPlaces();
  #lastEnd = 0;
  #window = { at: 0, bytes: new Uint8Array(0) };

  constructor(placed: PlacedSparse, tally: Tally, signal: AbortSignal | undefined) {
    this.#placed = placed;
    this.#tables = new GrainTables(placed.extent.source, placed.extent.directory);
    this.#tally = tally;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { header, directory, source } = this.#placed.extent;
    this.#tally.total += Math.ceil(header.capacity / header.grain);
    this.#tally.imageEnd = Math.max(this.#tally.imageEnd, Math.min(source.size, header.overHead), directory.at + directory.count * 4);
    const redundant = await this.#redundantDirectory();
    const copies = redundant && new GrainTables(source, redundant);
    for (let index = 0; index < directory.count; index++) {
      this.#signal?.throwIfAborted();
      if (directory.kindOf(index) !== "table") continue;
      const table = await this.#entries(index);
      this.#tally.imageEnd = Math.max(this.#tally.imageEnd, directory.tableEnd(index));
      if (redundant !== null && copies !== null) await this.#compare(index, table, redundant, copies);
      await this.#checkMarker(directory.tableAt(index), MARKER_GT, "grain table");
      await this.#checkEntries(index, table);
    }
    await this.#checkMarker(directory.at, MARKER_GD, "grain directory");
    if (!this.#shared.isComplete)
      this.#tally.find({
        severity: "warning",
        text: `${source.name} is so fragmented that shared grains were not looked for throughout`,
        at: null,
        guest: null,
      });
    const shared = this.#shared.overlaps();
    if (shared.length > 0) await this.#nameShared(shared);
  }

  /** The other directory, when there is one and the primary is in use. */
  async #redundantDirectory(): Promise<Directory | null> {
    const { header, source, directory } = this.#placed.extent;
    if (header.redundant === null || directory.at === header.redundant) return null;
    try {
      return await readDirectory(source, header, "rgdOffset", { directoryBytes: MOST_DIRECTORY_BYTES });
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== "corrupt") throw error;
      this.#tally.find({
        severity: "warning",
        text: `the redundant grain directory is damaged: ${error.message}`,
        at: error.at ?? null,
        guest: null,
      });
      return null;
    }
  }

  async #entries(index: number, tables = this.#tables): Promise<DataView> {
    const bytes = await tables.read(index, this.#signal);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async #compare(index: number, table: DataView, redundant: Directory, copies: GrainTables): Promise<void> {
    const { header } = this.#placed.extent;
    const start = this.#placed.start + index * tableSpan(header);
    const guest = { start, length: Math.min(tableSpan(header), header.capacity - index * tableSpan(header)) };
    if (redundant.kindOf(index) !== "table") {
      this.#tally.find({
        severity: "warning",
        text: `the redundant directory lacks grain table ${index}`,
        at: redundant.at + index * 4,
        guest,
      });
      return;
    }
    const other = await this.#entries(index, copies);
    for (let i = 0; i < table.byteLength; i += 4) {
      if (table.getUint32(i, true) === other.getUint32(i, true)) continue;
      const text = `the redundant grain table ${index} differs from entry ${i / 4} on`;
      this.#tally.find({ severity: "warning", text, at: redundant.tableAt(index) + i, guest });
      return;
    }
  }

  /** In a stream with all its markers, the sector before a table or directory says so. */
  async #checkMarker(at: number, type: number, what: string): Promise<void> {
    const { header, source, directory } = this.#placed.extent;
    if (!header.markers || at < directory.dataStart + SECTOR || !this.#hasTableMarkers()) return;
    const marker = Marker.read(await source.read(at - SECTOR, SECTOR, this.#signal));
    if (marker.size !== 0 || marker.type !== type)
      this.#tally.find({ severity: "warning", text: `the ${what} at byte ${at} has no marker before it`, at: at - SECTOR, guest: null });
  }

  /** Directories before the grains are of writers that leave these markers out. */
  #hasTableMarkers(): boolean {
    const { header, directory } = this.#placed.extent;
    return directory.at >= header.overHead;
  }

  async #checkEntries(index: number, table: DataView): Promise<void> {
    const { header, directory, source } = this.#placed.extent;
    const tally = this.#tally;
    const count = table.byteLength / 4;
    for (let i = 0; i < count; i++) {
      const entry = table.getUint32(i * 4, true);
      if (entry === 0 || (entry === GTE_ZEROED && header.zeroedGrains)) continue;
      const at = entry * SECTOR;
      const grain = index * GTES_PER_GT + i;
      const start = grain * header.grain;
      const length = Math.min(header.grain, header.capacity - start);
      const guest = { start: this.#placed.start + start, length };
      const bad = (text: string): void =>
        tally.find({
          severity: "corruption",
          text: `grain table ${index}, entry ${i}: ${text}`,
          at: directory.tableAt(index) + i * 4,
          guest,
        });
      tally.allocated++;
      if (header.compressed) tally.compressed++;
      const needed = header.compressed ? await this.#recordLength(at, start / SECTOR, bad) : length;
      if (needed === null) continue;
      if (at < directory.dataStart) bad(`the grain lies at byte ${at}, inside the metadata`);
      else if (at + needed > source.size) bad(`the grain reaches byte ${at + needed}, but the file ends at byte ${source.size}`);
      else if (directory.firstMetadataIn(at, at + needed) < at + needed) bad(`the grain at byte ${at} lies on top of a grain table`);
      else {
        const sectors = Math.ceil(needed / SECTOR);
        if (this.#lastEnd !== 0 && at !== this.#lastEnd) tally.fragmented++;
        this.#lastEnd = at + sectors * SECTOR;
        tally.imageEnd = Math.max(tally.imageEnd, at + needed);
        this.#shared.add(entry, sectors);
      }
    }
  }

  /** Bytes of a compressed grain with its marker; null when that was found wrong (or, without markers, is not known). */
  async #recordLength(at: number, sector: number, bad: (text: string) => void): Promise<number | null> {
    const { header, source } = this.#placed.extent;
    if (!header.markers) return SECTOR;
    if (at + GRAIN_HEADER_BYTES > source.size) {
      bad(`the grain lies at byte ${at}, but the file ends at byte ${source.size}`);
      return null;
    }
    const view = await this.#look(at, GRAIN_HEADER_BYTES);
    const lba = view.getBigUint64(0, true);
    const size = view.getUint32(8, true);
    if (lba !== BigInt(sector)) bad(`the marker at byte ${at} is that of sector ${lba}, expected ${sector}`);
    else if (size === 0 || size > header.grain * 2) bad(`the marker at byte ${at} says ${size} bytes`);
    else return GRAIN_HEADER_BYTES + size;
    return null;
  }

  /** A few bytes of the file, read in large pieces. */
  async #look(at: number, length: number): Promise<DataView> {
    const { source } = this.#placed.extent;
    if (at < this.#window.at || at + length > this.#window.at + this.#window.bytes.length)
      this.#window = { at, bytes: await source.read(at, Math.min(WINDOW, source.size - at), this.#signal) };
    return new DataView(this.#window.bytes.buffer, at - this.#window.at, length);
  }

  /** A second pass over the tables, to say which grains share their place. */
  async #nameShared(shared: readonly (readonly [start: number, end: number])[]): Promise<void> {
    const { header, directory } = this.#placed.extent;
    const sectors = header.compressed ? 1 : header.grain / SECTOR;
    for (let index = 0; index < directory.count; index++) {
      if (directory.kindOf(index) !== "table") continue;
      const table = await this.#entries(index);
      for (let i = 0; i < table.byteLength / 4; i++) {
        const entry = table.getUint32(i * 4, true);
        const hit = shared.find(([start, end]) => entry < end && entry + sectors > start);
        if (entry === 0 || hit === undefined) continue;
        const start = (index * GTES_PER_GT + i) * header.grain;
        this.#tally.find({
          severity: "corruption",
          text: `grain table ${index}, entry ${i}: the grain at byte ${entry * SECTOR} shares its place with another`,
          at: directory.tableAt(index) + i * 4,
          guest: { start: this.#placed.start + start, length: Math.min(header.grain, header.capacity - start) },
        });
      }
    }
  }
}
