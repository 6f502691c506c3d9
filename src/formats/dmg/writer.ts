import { wantsSmall } from "../../core/effort-option.ts";
import { DiskError } from "../../core/errors.ts";
import type { Compute } from "../../core/ports.ts";
import type { Block, Encoding, ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { encodeBase64 } from "./base64.ts";
import {
  CHECKSUM_CRC32,
  CHECKSUM_NONE,
  Chunk,
  KIND_IGNORE,
  KIND_RAW,
  KIND_TERMINATOR,
  KIND_ZLIB,
  SECTOR,
  TABLE_SIGNATURE,
  TABLE_VERSION,
  TableHead,
  TRAILER_BYTES,
  TRAILER_SIGNATURE,
  TRAILER_VERSION,
  Trailer,
} from "./spec.ts";

/** As hdiutil makes them. */
export const CHUNK_BYTES = 1 << 20;
/** Chunks that a property list of the size we read has room for. */
export const MOST_CHUNKS = 1_200_000;
/** qemu-img takes 16 MiB of property list. */
export const MOST_QEMU_CHUNKS = 310_000;

/** Sectors that a reader's buffers must hold: hdiutil states a chunk's and eight more. */
const BUFFER_SECTORS = CHUNK_BYTES / SECTOR + 8;
/** "flattened": one file that holds all. */
const FLAG_FLATTENED = 1;
const VARIANT_WHOLE_DISK = 2;
const DESCRIPTOR_WHOLE_DISK = 0xfffffffe;
/** Entries per piece of base64: a multiple of 3, so that no piece ends within a group. */
const PIECE_CHUNKS = 3 * 8192;

const LIST_HEAD = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
\t<key>resource-fork</key>
\t<dict>
\t\t<key>blkx</key>
\t\t<array>
\t\t\t<dict>
\t\t\t\t<key>Attributes</key>
\t\t\t\t<string>0x0050</string>
\t\t\t\t<key>CFName</key>
\t\t\t\t<string>whole disk (unknown partition : 0)</string>
\t\t\t\t<key>Data</key>
\t\t\t\t<data>
`;
const LIST_MIDDLE = `
\t\t\t\t</data>
\t\t\t\t<key>ID</key>
\t\t\t\t<string>0</string>
\t\t\t\t<key>Name</key>
\t\t\t\t<string>whole disk (unknown partition : 0)</string>
\t\t\t</dict>
\t\t</array>
\t\t<key>plst</key>
\t\t<array>
\t\t\t<dict>
\t\t\t\t<key>Attributes</key>
\t\t\t\t<string>0x0050</string>
\t\t\t\t<key>Data</key>
\t\t\t\t<data>
`;
const LIST_TAIL = `
\t\t\t\t</data>
\t\t\t\t<key>ID</key>
\t\t\t\t<string>0</string>
\t\t\t\t<key>Name</key>
\t\t\t\t<string></string>
\t\t\t</dict>
\t\t</array>
\t</dict>
</dict>
</plist>
`;
/** The same in every image that hdiutil has made; what it says is not known. */
const PLST = new Uint8Array(1032);
PLST.set([1, 0, 1], 517);

/**
 * UDZO in one pass: the chunks, then the property list with one block table for the whole disk, then the trailer. The CRC-32 of the
 * data fork is stated. That of the plain data is not (the format allows it): packed units arrive without it.
 */
export class DmgWriter implements ImageWriter {
  readonly unit = CHUNK_BYTES;
  readonly files: readonly string[];
  readonly encoding: Encoding;
  readonly sequential = true;
  readonly #spec: TargetSpec;
  readonly #segmentId: Uint8Array;
  readonly #compute: Compute;
  #pieces: Uint8Array[] = [];
  #chunks = 0;
  /** The first sector that no chunk tells about yet. */
  #next = 0;
  /** Bytes of the data fork so far, and their CRC-32. */
  #end = 0;
  #sum = 0;

  constructor(spec: TargetSpec, segmentId: Uint8Array, compute: Compute) {
    this.#spec = spec;
    this.encoding = { codec: "zlib", window: 32768, small: wantsSmall(spec), keep: "smaller", cut: true };
    this.#segmentId = segmentId;
    this.#compute = compute;
    this.files = [spec.name];
  }

  put(index: number, block: Block): readonly Write[] {
    const first = (index * CHUNK_BYTES) / SECTOR;
    const sectors = Math.min(CHUNK_BYTES / SECTOR, this.#spec.size / SECTOR - first);
    const bytes = block.kind === "packed" ? block.bytes : block.bytes.subarray(0, sectors * SECTOR);
    this.#skipTo(first);
    this.#addChunk(block.kind === "packed" ? KIND_ZLIB : KIND_RAW, first, sectors, bytes.length);
    this.#sum = this.#compute.crc32(bytes, this.#sum);
    const at = this.#end;
    this.#end += bytes.length;
    return [{ file: 0, at, bytes }];
  }

  end(): { writes: Iterable<Write>; sizes: readonly number[] } {
    const sectors = this.#spec.size / SECTOR;
    if (this.#next < sectors) this.#skipTo(sectors);
    this.#addChunk(KIND_TERMINATOR, this.#next, 0, 0);
    const table = this.#tableHead(this.#next);
    const tableBytes = table.length + this.#chunks * Chunk.bytes;
    const length = LIST_HEAD.length + base64Length(tableBytes) + LIST_MIDDLE.length + base64Length(PLST.length) + LIST_TAIL.length;
    return { writes: this.#ending(table, length), sizes: [this.#end + length + TRAILER_BYTES] };
  }

  #skipTo(sector: number): void {
    if (sector > this.#next) this.#addChunk(KIND_IGNORE, this.#next, sector - this.#next, 0);
  }

  #addChunk(kind: number, sector: number, sectors: number, length: number): void {
    if (this.#chunks === MOST_CHUNKS)
      throw new DiskError("limit", `dmg: more than ${MOST_CHUNKS} chunks: the disk holds more data than a block table has room for`);
    const slot = this.#chunks % PIECE_CHUNKS;
    if (slot === 0) this.#pieces.push(new Uint8Array(PIECE_CHUNKS * Chunk.bytes));
    const piece = this.#pieces[this.#pieces.length - 1] as Uint8Array;
    const fields = {
      kind,
      comment: 0,
      sector: BigInt(sector),
      sectors: BigInt(sectors),
      offset: BigInt(this.#end),
      length: BigInt(length),
    };
    piece.set(Chunk.write(fields), slot * Chunk.bytes);
    this.#chunks++;
    this.#next = sector + sectors;
  }

  #tableHead(sectors: number): Uint8Array {
    return TableHead.write({
      signature: TABLE_SIGNATURE,
      version: TABLE_VERSION,
      firstSector: 0n,
      sectorCount: BigInt(sectors),
      dataOffset: 0n,
      buffersNeeded: BUFFER_SECTORS,
      descriptor: DESCRIPTOR_WHOLE_DISK,
      reserved: new Uint8Array(24),
      checksumType: CHECKSUM_NONE,
      checksumSize: 0,
      checksum: new Uint8Array(128),
      chunkCount: this.#chunks,
    });
  }

  *#ending(table: Uint8Array, length: number): Generator<Write> {
    let at = this.#end;
    const next = (bytes: Uint8Array): Write => {
      const write = { file: 0, at, bytes };
      at += bytes.length;
      return write;
    };
    const encoder = new TextEncoder();
    yield next(encoder.encode(LIST_HEAD));
    yield next(encodeBase64(table));
    for (const [i, piece] of this.#pieces.entries()) {
      const chunks = Math.min(PIECE_CHUNKS, this.#chunks - i * PIECE_CHUNKS);
      yield next(encodeBase64(piece.subarray(0, chunks * Chunk.bytes)));
    }
    yield next(encoder.encode(LIST_MIDDLE));
    yield next(encodeBase64(PLST));
    yield next(encoder.encode(LIST_TAIL));
    yield next(this.#trailer(length));
  }

  #trailer(listLength: number): Uint8Array {
    const checksum = new Uint8Array(128);
    new DataView(checksum.buffer).setUint32(0, this.#sum);
    return Trailer.write({
      signature: TRAILER_SIGNATURE,
      version: TRAILER_VERSION,
      headerSize: TRAILER_BYTES,
      flags: FLAG_FLATTENED,
      runningDataForkOffset: 0n,
      dataForkOffset: 0n,
      dataForkLength: BigInt(this.#end),
      rsrcForkOffset: 0n,
      rsrcForkLength: 0n,
      segmentNumber: 1,
      segmentCount: 1,
      segmentId: this.#segmentId,
      dataChecksumType: CHECKSUM_CRC32,
      dataChecksumSize: 32,
      dataChecksum: checksum,
      xmlOffset: BigInt(this.#end),
      xmlLength: BigInt(listLength),
      reserved1: new Uint8Array(120),
      masterChecksumType: CHECKSUM_NONE,
      masterChecksumSize: 0,
      masterChecksum: new Uint8Array(128),
      imageVariant: VARIANT_WHOLE_DISK,
      sectorCount: BigInt(this.#spec.size / SECTOR),
      reserved2: new Uint8Array(12),
    });
  }
}

const base64Length = (bytes: number): number => Math.ceil(bytes / 3) * 4;
