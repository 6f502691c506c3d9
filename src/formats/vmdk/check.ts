import { CheckTally } from "../../core/check-tally.ts";
import { DiskError } from "../../core/errors.ts";
import { type ByteSource, type CheckReport, type OpenContext, type Range, RUN_DATA, RUN_PACKED } from "../../core/model.ts";
import { type Directory, readDirectory } from "./directory.ts";
import { GrainTables } from "./grain-tables.ts";
import { openVmdk, type PlacedSparse } from "./reader.ts";
import { GRAIN_HEADER_BYTES, GT_SECTORS, MARKER_GD, MARKER_GT, Marker, MOST_DIRECTORY_BYTES, SECTOR, tableSpan } from "./spec.ts";
import { type SectorRange, UsedPlaces } from "./used-places.ts";

/** Grain markers are looked up in pieces of the file of this size. */
const WINDOW = 1 << 20;
/** Footer marker, footer and end-of-stream marker end a stream. */
const FOOTER_SECTORS = 3;

/**
 * Every entry of every table: in range, apart from the metadata and from all other grains; the redundant tables equal;
 * the markers of a stream in place. Linear in the tables (and, for streams, one marker per grain). What keeps the image
 * from being opened at all is thrown, as by `open`.
 */
export async function checkVmdk(file: ByteSource, context: OpenContext, signal?: AbortSignal): Promise<CheckReport> {
  const volume = await openVmdk(file, context);
  if (volume.unsupported.length > 0)
    throw new DiskError("unsupported", `vmdk: cannot be checked here: ${volume.unsupported.join(", ")}`, { file: file.name });
  const tally = new CheckTally();
  for (const { severity, text } of volume.notes) if (severity === "warning") tally.warning(text);
  for (const placed of volume.sparse) {
    const end = await new SparseCheck(placed, tally, signal).run();
    if (placed.extent.source === file) tally.imageEndOffset = end;
  }
  if (tally.imageEndOffset === 0) tally.imageEndOffset = file.size;
  if (volume.sparse.length === 0) {
    tally.totalClusters = volume.unit === 0 ? 0 : Math.ceil(volume.size / volume.unit);
    tally.allocatedClusters = tally.totalClusters;
  }
  return tally.report();
}

class SparseCheck {
  readonly #placed: PlacedSparse;
  readonly #tally: CheckTally;
  readonly #signal: AbortSignal | undefined;
  readonly #tables: GrainTables;
  readonly #used = new UsedPlaces();
  #lastEnd = 0;
  #end = 0;
  /** Compressed grains whose length is not known. */
  #badRecords = 0;
  #window = { at: 0, bytes: new Uint8Array(0) };

  constructor(placed: PlacedSparse, tally: CheckTally, signal: AbortSignal | undefined) {
    this.#placed = placed;
    this.#tables = new GrainTables(placed.extent.source, placed.extent.directory);
    this.#tally = tally;
    this.#signal = signal;
  }

  /** Where the last byte in use ends. */
  async run(): Promise<number> {
    const { header, directory, source } = this.#placed.extent;
    this.#tally.totalClusters += Math.ceil(header.capacity / header.grain);
    this.#end = Math.max(Math.min(source.size, header.overHead), directory.at + directory.count * directory.entryBytes);
    const redundant = await this.#redundantDirectory();
    const copies = redundant && new GrainTables(source, redundant);
    for (let index = 0; index < directory.count; index++) {
      this.#signal?.throwIfAborted();
      if (directory.kindOf(index) !== "table") continue;
      const table = await this.#tables.read(index, this.#signal);
      this.#end = Math.max(this.#end, directory.tableEnd(index));
      this.#useTable(directory, index);
      if (redundant !== null && copies !== null) await this.#compare(index, table, redundant, copies);
      await this.#checkMarker(directory.tableAt(index), MARKER_GT, "grain table");
      await this.#checkEntries(index, table);
    }
    await this.#checkMarker(directory.at, MARKER_GD, "grain directory");
    if (!this.#used.isComplete)
      this.#tally.warning(`${source.name} is so fragmented that shared and lost grains were not looked for throughout`);
    await this.#reviewPlaces();
    return this.#end;
  }

  /**
   * Notes the place of a table, or of the directory itself (`index` −1), with its marker in a stream. The last table of a disk may
   * be shorter, but is given the room of a whole one.
   */
  #useTable(directory: Directory, index: number): void {
    const { header } = this.#placed.extent;
    const marker = header.markers && this.#hasTableMarkers() ? 1 : 0;
    const at = index < 0 ? directory.at : directory.tableAt(index);
    const bytes = index < 0 ? directory.count * directory.entryBytes : header.tableEntries * directory.entryBytes;
    this.#used.addMetadata(at / SECTOR - marker, Math.ceil(bytes / SECTOR) + marker);
  }

  async #reviewPlaces(): Promise<void> {
    const { header, directory, source } = this.#placed.extent;
    this.#useTable(directory, -1);
    if (header.markers && this.#hasTableMarkers()) this.#used.addMetadata(source.size / SECTOR - FOOTER_SECTORS, FOOTER_SECTORS);
    const start = Math.ceil(directory.dataStart / SECTOR);
    const unit = header.compressed ? 1 : header.grain / SECTOR;
    const { overlaps, gaps, units } = this.#used.review(start, Math.floor(this.#searchedEnd() / SECTOR), unit);
    if (overlaps.length > 0) await this.#nameShared(overlaps);
    this.#tally.leaks += units;
    for (const [from, to] of gaps) {
      if (await this.#isSpareTable(from, to)) {
        this.#tally.leaks -= to - from;
        continue;
      }
      this.#tally.leak(
        `${(to - from) * SECTOR} bytes at byte ${from * SECTOR} of ${source.name} belong to no grain and no table`,
        from * SECTOR,
        0,
      );
    }
  }

  /** VirtualBox ends a stream whose disk is whole tables with one more, empty. */
  async #isSpareTable(from: number, to: number): Promise<boolean> {
    const { header, source } = this.#placed.extent;
    if (!header.markers || to - from !== 1 + GT_SECTORS) return false;
    const bytes = await source.read(from * SECTOR, (to - from) * SECTOR, this.#signal);
    const marker = Marker.read(bytes);
    return marker.size === 0 && marker.type === MARKER_GT && bytes.subarray(SECTOR).every((byte) => byte === 0);
  }

  /** Up to where what nothing uses can be told from what is not known. */
  #searchedEnd(): number {
    const { header, directory, source, grainsEnd } = this.#placed.extent;
    if (directory.at === header.redundant) return 0;
    if (!header.compressed) return grainsEnd;
    // Where a grain's record ends is known from its marker; qemu-img leaves less than a grain of zeros behind the last one.
    if (!header.markers || this.#badRecords > 0) return 0;
    return source.size - this.#end < header.grain ? this.#end : grainsEnd;
  }

  /** The other directory, when there is one and the primary is in use. */
  async #redundantDirectory(): Promise<Directory | null> {
    const { header, source, directory } = this.#placed.extent;
    if (header.redundant === null || directory.at === header.redundant) return null;
    try {
      const redundant = await readDirectory(source, header, "redundant", { directoryBytes: MOST_DIRECTORY_BYTES });
      this.#useTable(redundant, -1);
      return redundant;
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== "corrupt") throw error;
      this.#tally.warning(`the redundant grain directory is damaged: ${error.message}`, error.at ?? null);
      return null;
    }
  }

  async #compare(index: number, table: Uint8Array, redundant: Directory, copies: GrainTables): Promise<void> {
    const { header } = this.#placed.extent;
    const start = this.#placed.start + index * tableSpan(header);
    const guest = { start, length: Math.min(tableSpan(header), header.capacity - index * tableSpan(header)) };
    if (redundant.kindOf(index) !== "table") {
      this.#tally.warning(`the redundant directory lacks grain table ${index}`, redundant.at + index * 4, guest);
      return;
    }
    this.#useTable(redundant, index);
    const other = await copies.read(index, this.#signal);
    const differs = table.findIndex((byte, i) => byte !== other[i]);
    if (differs < 0) return;
    const entry = Math.floor(differs / redundant.entryBytes);
    const text = `the redundant grain table ${index} differs from entry ${entry} on`;
    this.#tally.warning(text, redundant.tableAt(index) + entry * redundant.entryBytes, guest);
  }

  /** In a stream with all its markers, the sector before a table or directory says so. */
  async #checkMarker(at: number, type: number, what: string): Promise<void> {
    const { header, source, directory } = this.#placed.extent;
    if (!header.markers || at < directory.dataStart + SECTOR || !this.#hasTableMarkers()) return;
    const marker = Marker.read(await source.read(at - SECTOR, SECTOR, this.#signal));
    if (marker.size !== 0 || marker.type !== type) this.#tally.warning(`the ${what} at byte ${at} has no marker before it`, at - SECTOR);
  }

  /** Directories before the grains are of writers that leave these markers out. */
  #hasTableMarkers(): boolean {
    const { header, directory } = this.#placed.extent;
    return directory.at >= header.overHead;
  }

  async #checkEntries(index: number, table: Uint8Array): Promise<void> {
    for (const { entry, at } of this.#grains(index, table)) await this.#checkGrain(index, entry, at);
  }

  /** The entries of a table that place a grain inside the disk; `at` is null where the entry means nothing. */
  *#grains(index: number, table: Uint8Array): Generator<{ readonly entry: number; readonly at: number | null }> {
    const { header, directory, runsOf } = this.#placed.extent;
    const { kind, first, count, at, length } = runsOf(table);
    const entries = directory.entriesIn(index);
    for (let run = 0; run < length; run++) {
      if (kind[run] !== RUN_DATA && kind[run] !== RUN_PACKED) continue;
      const from = first[run] as number;
      const end = Math.min(from + (count[run] as number), entries);
      for (let entry = from; entry < end; entry++)
        yield { entry, at: kind[run] === RUN_DATA ? (at[run] as number) + (entry - from) * header.grain : null };
    }
  }

  /** The part of the disk that a grain holds. */
  #guestOf(index: number, entry: number): Range {
    const { header } = this.#placed.extent;
    const start = (index * header.tableEntries + entry) * header.grain;
    return { start: this.#placed.start + start, length: Math.min(header.grain, header.capacity - start) };
  }

  async #checkGrain(index: number, entry: number, at: number | null): Promise<void> {
    const { header, directory, source } = this.#placed.extent;
    const tally = this.#tally;
    const guest = this.#guestOf(index, entry);
    const bad = (text: string): void =>
      tally.corruption(`grain table ${index}, entry ${entry}: ${text}`, directory.tableAt(index) + entry * directory.entryBytes, guest);
    tally.allocatedClusters++;
    if (at === null) return bad("it is none of the kinds that there are");
    if (header.compressed) tally.compressedClusters++;
    const sector = (guest.start - this.#placed.start) / SECTOR;
    const needed = header.compressed ? await this.#recordLength(at, sector, bad) : guest.length;
    if (needed === null) {
      this.#badRecords++;
      return;
    }
    if (at < directory.dataStart) bad(`the grain lies at byte ${at}, inside the metadata`);
    else if (at + needed > source.size) bad(`the grain reaches byte ${at + needed}, but the file ends at byte ${source.size}`);
    else if (directory.firstMetadataIn(at, at + needed) < at + needed) bad(`the grain at byte ${at} lies on top of a grain table`);
    else {
      const sectors = Math.ceil(needed / SECTOR);
      if (this.#lastEnd !== 0 && at !== this.#lastEnd) tally.fragmentedClusters++;
      this.#lastEnd = at + sectors * SECTOR;
      this.#end = Math.max(this.#end, at + needed);
      // The last grain of a disk has a whole grain's room, though its end may never have been written.
      this.#used.addGrain(at / SECTOR, header.compressed ? sectors : header.grain / SECTOR);
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
  async #nameShared(shared: readonly SectorRange[]): Promise<void> {
    const { header, directory } = this.#placed.extent;
    const sectors = header.compressed ? 1 : header.grain / SECTOR;
    for (let index = 0; index < directory.count; index++) {
      if (directory.kindOf(index) !== "table") continue;
      for (const { entry, at } of this.#grains(index, await this.#tables.read(index, this.#signal))) {
        if (at === null || !shared.some(([start, end]) => at / SECTOR < end && at / SECTOR + sectors > start)) continue;
        this.#tally.corruption(
          `grain table ${index}, entry ${entry}: the grain at byte ${at} shares its place with another`,
          directory.tableAt(index) + entry * directory.entryBytes,
          this.#guestOf(index, entry),
        );
      }
    }
  }
}
