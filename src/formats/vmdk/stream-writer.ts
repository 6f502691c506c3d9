import { DiskError } from "../../core/errors.ts";
import type { Block, Encoding, ImageWriter, Write } from "../../core/target.ts";
import { DESCRIPTOR_SECTORS, embeddedDescriptor, GRAIN, MOST_FILE_SECTORS, type VmdkSpec } from "./options.ts";
import {
  COMPRESSION_DEFLATE,
  FLAG_COMPRESSED,
  FLAG_MARKERS,
  FLAG_NEWLINE_TEST,
  GD_AT_END,
  GRAIN_HEADER_BYTES,
  GT_SECTORS,
  GTES_PER_GT,
  Header,
  MAGIC,
  MARKER_EOS,
  MARKER_FOOTER,
  MARKER_GD,
  MARKER_GT,
  Marker,
  NEWLINES,
  SECTOR,
} from "./spec.ts";

const OVERHEAD_SECTORS = 128;
const GRAIN_SECTORS = GRAIN / SECTOR;

/**
 * streamOptimized, in one pass without seeking ([1] "Stream-Optimized Compressed Sparse Extents"): header, descriptor, grains;
 * after the grains of a table the table; then directory, footer and end-of-stream marker, and nothing after that. Each piece
 * of metadata follows its marker. 7-Zip and VMware want exactly this order.
 */
export class StreamWriter implements ImageWriter {
  readonly unit = GRAIN;
  readonly files: readonly string[];
  readonly encoding: Encoding;
  readonly sequential = true;
  readonly #spec: VmdkSpec;
  readonly #descriptor: Uint8Array;
  readonly #directory: Uint32Array;
  #table = new Uint32Array(GTES_PER_GT);
  #tableIndex = -1;
  /** End of what was asked to be written, sectors; 0: not even the header. */
  #end = 0;

  constructor(spec: VmdkSpec) {
    this.#spec = spec;
    this.encoding = { codec: "zlib", window: 32768, small: spec.small, keep: "always" };
    this.#descriptor = embeddedDescriptor(spec, "RDONLY");
    this.files = [spec.name];
    this.#directory = new Uint32Array(Math.ceil((spec.sectors * SECTOR) / (GRAIN * GTES_PER_GT)));
  }

  put(index: number, block: Block): readonly Write[] {
    if (block.kind !== "packed") throw new DiskError("usage", "vmdk: a stream takes compressed grains only");
    const writes: Write[] = [];
    this.#begin(writes);
    const table = Math.floor(index / GTES_PER_GT);
    if (table !== this.#tableIndex) this.#endTable(writes);
    this.#tableIndex = table;
    this.#table[index % GTES_PER_GT] = this.#end;
    this.#appendGrain(writes, index, block.bytes);
    return writes;
  }

  end(): { writes: Iterable<Write>; sizes: readonly number[] } {
    const writes: Write[] = [];
    this.#begin(writes);
    this.#endTable(writes);
    const directory = padded(tableBytes(this.#directory));
    this.#append(writes, marker(MARKER_GD, directory.length / SECTOR));
    const gdOffset = this.#end;
    this.#append(writes, directory);
    this.#append(writes, marker(MARKER_FOOTER, 1));
    this.#append(writes, this.#header(BigInt(gdOffset)));
    this.#append(writes, marker(MARKER_EOS, 0));
    return { writes, sizes: [this.#end * SECTOR] };
  }

  #begin(writes: Write[]): void {
    if (this.#end > 0) return;
    const start = new Uint8Array(OVERHEAD_SECTORS * SECTOR);
    start.set(this.#header(GD_AT_END));
    start.set(this.#descriptor, SECTOR);
    this.#append(writes, start);
  }

  #endTable(writes: Write[]): void {
    if (this.#tableIndex < 0) return;
    this.#append(writes, marker(MARKER_GT, GT_SECTORS));
    this.#directory[this.#tableIndex] = this.#end;
    this.#append(writes, tableBytes(this.#table));
    this.#table = new Uint32Array(GTES_PER_GT);
    this.#tableIndex = -1;
  }

  /** A grain's record in three writes, so that the stream itself is not copied here. */
  #appendGrain(writes: Write[], index: number, stream: Uint8Array): void {
    const header = new Uint8Array(GRAIN_HEADER_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(0, (index * GRAIN_SECTORS) % 2 ** 32, true);
    view.setUint32(4, Math.floor((index * GRAIN_SECTORS) / 2 ** 32), true);
    view.setUint32(8, stream.length, true);
    const used = header.length + stream.length;
    const at = this.#end * SECTOR;
    this.#end += this.#fitting(Math.ceil(used / SECTOR));
    writes.push({ file: 0, at, bytes: header }, { file: 0, at: at + header.length, bytes: stream });
    if (used % SECTOR !== 0) writes.push({ file: 0, at: at + used, bytes: PADDING.subarray(used % SECTOR) });
  }

  #append(writes: Write[], bytes: Uint8Array): void {
    const at = this.#end * SECTOR;
    this.#end += this.#fitting(bytes.length / SECTOR);
    writes.push({ file: 0, at, bytes });
  }

  #fitting(sectors: number): number {
    if (this.#end + sectors > MOST_FILE_SECTORS)
      throw new DiskError("limit", "vmdk: the stream reaches 2 TiB, where its 32-bit sector numbers end");
    return sectors;
  }

  #header(gdOffset: bigint): Uint8Array {
    return Header.write({
      magicNumber: MAGIC,
      version: 3,
      flags: FLAG_NEWLINE_TEST | FLAG_COMPRESSED | FLAG_MARKERS,
      capacity: BigInt(this.#spec.sectors),
      grainSize: BigInt(GRAIN_SECTORS),
      descriptorOffset: 1n,
      descriptorSize: BigInt(DESCRIPTOR_SECTORS),
      numGTEsPerGT: GTES_PER_GT,
      rgdOffset: 0n,
      gdOffset,
      overHead: BigInt(OVERHEAD_SECTORS),
      uncleanShutdown: 0,
      newlines: NEWLINES,
      compressAlgorithm: COMPRESSION_DEFLATE,
      pad: new Uint8Array(0),
    });
  }
}

/** What fills the last sector of a record. */
const PADDING = new Uint8Array(SECTOR);

/** A metadata marker: the sectors of what follows it, and what that is. */
function marker(type: number, sectors: number): Uint8Array {
  return Marker.write({ val: BigInt(sectors), size: 0, type, pad: new Uint8Array(0) });
}

/** Entries as the file has them. */
export function tableBytes(entries: Uint32Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(entries.length * 4);
  const view = new DataView(out.buffer);
  entries.forEach((entry, i) => {
    view.setUint32(i * 4, entry, true);
  });
  return out;
}

function padded(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil(bytes.length / SECTOR) * SECTOR);
  out.set(bytes);
  return out;
}
