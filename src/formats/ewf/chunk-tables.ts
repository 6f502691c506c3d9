import { DiskError } from "../../core/errors.ts";
import { hexNumber } from "../../core/hex.ts";
import type { ByteSource, Range } from "../../core/model.ts";
import { readPlaced } from "../../core/placed-struct.ts";
import type { Compute } from "../../core/ports.ts";
import { countBefore } from "../../core/sorted.ts";
import { type Evidence, fault, type Section } from "./segments.ts";
import { CHECKSUM_BYTES, COMPRESSED, ENTRY_BYTES, TableHeader } from "./spec.ts";

/** Tables whose entries are kept; a table holds 16,375 entries in most images and 65,534 in some. */
const CACHED_TABLES = 16;
const MOST_ENTRIES = 1 << 20;

/** A table section: the places of consecutive chunks in one segment file. */
interface Table {
  readonly section: Section;
  /** Its mirror, used when it is damaged. */
  readonly mirror: Section | null;
  readonly first: number;
  readonly count: number;
  readonly base: number;
  /** Where the data of its last chunk ends, in the same file. */
  readonly dataEnd: number;
}

export interface ChunkPlace {
  readonly file: number;
  readonly at: number;
  /** Bytes in the file, at most. */
  readonly length: number;
  readonly compressed: boolean;
}

/** Place of every chunk. Table headers are read when the image is opened, entries when they are asked for. */
export class ChunkTables {
  readonly count: number;
  readonly #evidence: Evidence;
  readonly #tables: readonly Table[];
  readonly #compute: Compute;
  readonly #chunkBytes: number;
  readonly #entries = new Map<Table, Uint32Array>();

  private constructor(evidence: Evidence, tables: readonly Table[], chunkBytes: number, compute: Compute) {
    this.#evidence = evidence;
    this.#tables = tables;
    this.#chunkBytes = chunkBytes;
    this.#compute = compute;
    const last = tables[tables.length - 1];
    this.count = last === undefined ? 0 : last.first + last.count;
  }

  static async open(evidence: Evidence, chunkBytes: number, compute: Compute): Promise<ChunkTables> {
    const tables: Table[] = [];
    let data: Section | null = null;
    let first = 0;
    for (const [i, section] of evidence.sections.entries()) {
      if (section.type === "sectors") data = section;
      if (section.type !== "table") continue;
      const file = evidence.files[section.file] as ByteSource;
      const next = evidence.sections[i + 1];
      const mirror = next?.type === "table2" && next.file === section.file ? next : null;
      const { count, base } = await readHeader(file, section, compute).catch((error: unknown) => {
        if (mirror === null || !(error instanceof DiskError)) throw error;
        return readHeader(file, mirror, compute);
      });
      // SMART keeps the chunks in the table section itself, behind the entries.
      const inside = data === null || data.file !== section.file ? section : data;
      tables.push({ section, mirror, first, count, base, dataEnd: inside.at + inside.length });
      first += count;
    }
    return new ChunkTables(evidence, tables, chunkBytes, compute);
  }

  /** Places of the chunks from `first` to the end of their table, at most `count`. */
  async places(first: number, count: number): Promise<readonly ChunkPlace[]> {
    const table = this.#tableOf(first);
    const entries = await this.#load(table);
    const file = this.#evidence.files[table.section.file] as ByteSource;
    const places: ChunkPlace[] = [];
    const end = Math.min(first + count, table.first + table.count) - table.first;
    for (let i = first - table.first; i < end; i++) {
      const entry = entries[i] as number;
      const at = table.base + (entry & ~COMPRESSED);
      const next = i + 1 < table.count ? table.base + ((entries[i + 1] as number) & ~COMPRESSED) : table.dataEnd;
      if (next <= at || next > file.size) {
        const guest = { start: (table.first + i) * this.#chunkBytes, length: this.#chunkBytes };
        const place = table.section.at + TableHeader.bytes + i * ENTRY_BYTES;
        if (places.length > 0) return places;
        throw new DiskError("corrupt", `${file.name}: ewf: chunk ${table.first + i} is stated to lie from ${at} to ${next}`, {
          file: file.name,
          at: place,
          guest,
        });
      }
      places.push({ file: table.section.file, at, length: next - at, compressed: (entry & COMPRESSED) !== 0 });
    }
    return places;
  }

  #tableOf(chunk: number): Table {
    const behind = countBefore(this.#tables.length, (i) => (this.#tables[i] as Table).first <= chunk);
    return this.#tables[behind - 1] as Table;
  }

  async #load(table: Table): Promise<Uint32Array> {
    const known = this.#entries.get(table);
    if (known !== undefined) return known;
    const entries = await this.#readEntries(table, table.section).catch((error: unknown) => {
      if (table.mirror === null || !(error instanceof DiskError) || error.code !== "corrupt") throw error;
      return this.#readMirror(table, table.mirror);
    });
    this.#entries.set(table, entries);
    if (this.#entries.size > CACHED_TABLES) this.#entries.delete(this.#entries.keys().next().value as Table);
    return entries;
  }

  async #readMirror(table: Table, mirror: Section): Promise<Uint32Array> {
    const file = this.#evidence.files[mirror.file] as ByteSource;
    const { count, base } = await readHeader(file, mirror, this.#compute);
    if (count === table.count && base === table.base) return this.#readEntries(table, mirror);
    throw fault(
      file,
      `entryCount and baseOffset of a table2 are ${count} and ${base}, those of its table ${table.count} and ${table.base}`,
      mirror.at,
    );
  }

  async #readEntries(table: Table, section: Section): Promise<Uint32Array> {
    const file = this.#evidence.files[section.file] as ByteSource;
    const at = section.at + TableHeader.bytes;
    const length = table.count * ENTRY_BYTES;
    const guest: Range = { start: table.first * this.#chunkBytes, length: table.count * this.#chunkBytes };
    if (TableHeader.bytes + length > section.length)
      throw new DiskError("corrupt", `${file.name}: ewf: a table has room for fewer than its ${table.count} entries`, {
        file: file.name,
        at: section.at,
        guest,
      });
    // SMART's tables have no checksum behind their entries: their chunks follow at once.
    const isSummed = section.length >= TableHeader.bytes + length + CHECKSUM_BYTES && table.dataEnd !== section.at + section.length;
    const bytes = await file.read(at, length + (isSummed ? CHECKSUM_BYTES : 0));
    const view = new DataView(bytes.buffer);
    const sum = this.#compute.adler32(bytes.subarray(0, length));
    if (isSummed && view.getUint32(length, true) !== sum)
      throw new DiskError("corrupt", `${file.name}: ewf: the entries of a table do not give their checksum`, {
        file: file.name,
        at,
        guest,
      });
    return Uint32Array.from({ length: table.count }, (_, i) => view.getUint32(i * ENTRY_BYTES, true));
  }
}

async function readHeader(
  file: ByteSource,
  section: Section,
  compute: Compute,
): Promise<{ readonly count: number; readonly base: number }> {
  if (section.length < TableHeader.bytes) throw fault(file, `a table section of ${section.length} bytes`, section.at);
  const bytes = await file.read(section.at, TableHeader.bytes);
  const sum = compute.adler32(bytes.subarray(0, TableHeader.offsetOf("checksum")));
  const { entryCount, baseOffset, checksum } = readPlaced(TableHeader, bytes, file, section.at, "ewf");
  if (sum !== checksum)
    throw fault(file, `checksum of a table header is ${hexNumber(checksum)}, but its fields give ${hexNumber(sum)}`, section.at + 20);
  if (entryCount > MOST_ENTRIES || TableHeader.bytes + entryCount * ENTRY_BYTES > section.length)
    throw fault(file, `entryCount is ${entryCount}, more than the table has room for`, section.at);
  if (baseOffset > file.size) throw fault(file, `baseOffset is ${baseOffset}, past the end of the file`, section.at + 8);
  return { count: entryCount, base: baseOffset };
}
