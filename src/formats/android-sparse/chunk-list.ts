import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { ChunkHeader, CRC32, DONT_CARE, FILL, Header, MAGIC, RAW, WORD } from "./spec.ts";

/** Chunk headers are read through a window of this size: small chunks lie side by side. */
const WINDOW = 1 << 16;
const MOST_BLOCK = 64 << 20;
/** Records of chunks are kept in memory; images of real devices have some thousands. */
const MOST_CHUNKS = 1 << 21;

/** `zero`: a fill with zeros. */
export type ChunkKind = "raw" | "fill" | "zero" | "skip" | "crc";
const KINDS: Readonly<Record<number, ChunkKind>> = { [RAW]: "raw", [FILL]: "fill", [DONT_CARE]: "skip", [CRC32]: "crc" };

/** Positions and lengths in bytes. A `crc` chunk has no length; its sum covers everything ahead of it. */
export interface Chunk {
  readonly kind: ChunkKind;
  readonly start: number;
  readonly length: number;
  /** Place of what follows the chunk's header: the data, the pattern, the sum. */
  readonly at: number;
}

export interface SparseImage {
  readonly header: ReturnType<typeof Header.read>;
  readonly size: number;
  readonly chunks: readonly Chunk[];
  /** Bytes of the file behind the last chunk. */
  readonly trailing: number;
}

/** All chunks of an image, checked against the header and the file. */
export async function readChunks(file: ByteSource, signal?: AbortSignal): Promise<SparseImage> {
  const fault = (text: string, at: number) => new DiskError("corrupt", `${file.name}: Android sparse: ${text}`, { file: file.name, at });
  if (file.size < Header.bytes) throw fault(`the file has ${file.size} bytes, less than its header`, 0);
  const header = Header.read(await file.read(0, Header.bytes));
  const at = (field: keyof typeof header) => Header.offsetOf(field);
  if (header.magic !== MAGIC) throw fault(`magic is 0x${header.magic.toString(16)}`, 0);
  if (header.majorVersion !== 1)
    throw new DiskError("unsupported", `${file.name}: Android sparse: majorVersion is ${header.majorVersion}, only 1 is known`, {
      file: file.name,
      at: at("majorVersion"),
    });
  if (header.fileHeaderSize < Header.bytes || header.fileHeaderSize > file.size)
    throw fault(`fileHeaderSize is ${header.fileHeaderSize}`, at("fileHeaderSize"));
  if (header.chunkHeaderSize < ChunkHeader.bytes) throw fault(`chunkHeaderSize is ${header.chunkHeaderSize}`, at("chunkHeaderSize"));
  if (header.blockSize === 0 || header.blockSize % WORD !== 0 || header.blockSize > MOST_BLOCK)
    throw fault(`blockSize is ${header.blockSize}, expected a multiple of 4 up to ${MOST_BLOCK}`, at("blockSize"));
  if (header.totalChunks > (file.size - header.fileHeaderSize) / header.chunkHeaderSize)
    throw fault(`totalChunks is ${header.totalChunks}, more than the file has room for`, at("totalChunks"));
  if (header.totalChunks > MOST_CHUNKS)
    throw new DiskError("limit", `${file.name}: Android sparse: totalChunks is ${header.totalChunks}, at most ${MOST_CHUNKS} are read`, {
      file: file.name,
      at: at("totalChunks"),
    });
  const size = header.totalBlocks * header.blockSize;
  if (!Number.isSafeInteger(size)) throw fault(`totalBlocks is ${header.totalBlocks}`, at("totalBlocks"));
  const chunks: Chunk[] = [];
  let window: Uint8Array = new Uint8Array(0);
  let windowAt = 0;
  let place = header.fileHeaderSize;
  let start = 0;
  for (let i = 0; i < header.totalChunks; i++) {
    signal?.throwIfAborted();
    if (place + header.chunkHeaderSize > file.size) throw fault(`the file ends before chunk ${i} of ${header.totalChunks}`, place);
    const needed = Math.min(place + header.chunkHeaderSize + WORD, file.size);
    if (place < windowAt || needed > windowAt + window.length) {
      window = await file.read(place, Math.min(Math.max(WINDOW, needed - place), file.size - place), signal);
      windowAt = place;
    }
    const chunk = ChunkHeader.read(window, place - windowAt);
    const kind = KINDS[chunk.chunkType];
    if (kind === undefined) throw fault(`chunkType of chunk ${i} is 0x${chunk.chunkType.toString(16)}`, place);
    const length = chunk.chunkSize * header.blockSize;
    const stored = kind === "raw" ? length : kind === "skip" ? 0 : WORD;
    if (chunk.totalSize !== header.chunkHeaderSize + stored)
      throw fault(`totalSize of chunk ${i} is ${chunk.totalSize}, expected ${header.chunkHeaderSize + stored}`, place + 8);
    if (kind === "crc" && chunk.chunkSize !== 0) throw fault(`chunkSize of the CRC chunk ${i} is ${chunk.chunkSize}`, place + 4);
    if (start + length > size) throw fault(`chunkSize of chunk ${i} is ${chunk.chunkSize}: it leads past totalBlocks`, place + 4);
    if (place + chunk.totalSize > file.size) throw fault(`chunk ${i} leads past the end of the file: it is truncated`, place);
    const data = place + header.chunkHeaderSize;
    const isZero = kind === "fill" && window.subarray(data - windowAt, data - windowAt + WORD).every((byte) => byte === 0);
    if (length > 0 || kind === "crc") chunks.push({ kind: isZero ? "zero" : kind, start, length, at: data });
    start += length;
    place += chunk.totalSize;
  }
  if (start !== size) throw fault(`the chunks hold ${start} bytes of disk, but the header states ${size}`, at("totalBlocks"));
  return { header, size, chunks, trailing: file.size - place };
}
