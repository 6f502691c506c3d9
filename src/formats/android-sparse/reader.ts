import { combineCrc32, repeatCrc32 } from "../../core/crc32-algebra.ts";
import { DiskError } from "../../core/errors.ts";
import { hexNumber } from "../../core/hex.ts";
import type { ByteSource, Extent, FormatContext, Note, VerifyProgress, Volume } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { countBefore } from "../../core/sorted.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { type Chunk, readChunks, type SparseImage } from "./chunk-list.ts";
import { Header, WORD } from "./spec.ts";

const SECTOR = 512;
/** A fill is handed out in pieces that a block worker unpacks at once. */
const FILL_PIECE = 1 << 20;
/** One answer of the map lists no more extents than this. */
const MOST_EXTENTS = 4096;

/** Opens an Android sparse image: a list of chunks in the order of the disk. */
export async function openAndroidSparse(file: ByteSource, { compute, signal, anySize }: FormatContext): Promise<Volume> {
  const image = await readChunks(file, signal);
  const { header, chunks, trailing } = image;
  if (anySize !== true) requireModest(file, image);
  const notes: Note[] = [];
  if (chunks.some(({ kind }) => kind === "skip"))
    notes.push({ text: "Parts that the image leaves open (“don't care”) read as zeros.", severity: "info" });
  if (trailing > 0) notes.push({ text: `${trailing} bytes behind the last chunk are not part of the image.`, severity: "warning" });
  const size = Math.ceil(image.size / SECTOR) * SECTOR;
  const hasSums = header.imageChecksum !== 0 || chunks.some(({ kind }) => kind === "crc");
  const extents = chunks.filter(({ kind }) => kind !== "crc");
  return {
    ...STANDALONE,
    format: "android-sparse",
    variant: `${header.majorVersion}.${header.minorVersion}`,
    size,
    unit: header.blockSize,
    files: [file],
    notes,
    details: { "block-size": header.blockSize, chunks: header.totalChunks, checksum: hasSums },
    extents: async (start, length) => listExtents(extents, image.size, start, length),
    ...(hasSums && { verify: (progress, abort) => verifySums(file, image, compute, progress, abort) }),
  };
}

/** Fills that come to more than this and than so many times the file are followed only when the user says so, as packed streams are. */
const BOMB_BYTES = 2 * 2 ** 30;
const BOMB_RATIO = 200;

function requireModest(file: ByteSource, { chunks }: SparseImage): void {
  const filled = chunks.reduce((sum, { kind, length }) => sum + (kind === "fill" ? length : 0), 0);
  if (filled <= BOMB_BYTES || filled < file.size * BOMB_RATIO) return;
  const message = `${file.name} has ${file.size} bytes and its fill chunks come to ${filled}: it is followed only when asked for (--any-size)`;
  throw new DiskError("limit", message, { file: file.name });
}

function listExtents(chunks: readonly Chunk[], dataSize: number, start: number, length: number): readonly Extent[] {
  const list: Extent[] = [];
  const end = start + length;
  let at = start;
  for (let i = firstEndingBehind(chunks, start); i < chunks.length && at < end && list.length < MOST_EXTENTS; i++) {
    const chunk = chunks[i] as Chunk;
    const chunkEnd = Math.min(end, chunk.start + chunk.length);
    if (chunk.kind === "raw") list.push({ kind: "raw", start: at, length: chunkEnd - at, file: 0, at: chunk.at + at - chunk.start });
    else if (chunk.kind === "skip") list.push({ kind: "hole", start: at, length: chunkEnd - at });
    else if (chunk.kind === "zero") list.push({ kind: "zero", start: at, length: chunkEnd - at });
    else list.push(...fillPieces(chunk, at, chunkEnd));
    const last = list[list.length - 1] as Extent;
    at = last.start + last.length;
    if (at < chunkEnd) return list;
  }
  // The last sector of a disk whose blocks are smaller than a sector.
  if (at >= dataSize && at < end) list.push({ kind: "zero", start: at, length: end - at });
  return list;
}

/** Pieces begin at multiples of their size, so that a piece is the same whoever asks. */
function fillPieces(chunk: Chunk, from: number, end: number): Extent[] {
  const pieces: Extent[] = [];
  for (let at = from; at < end && pieces.length < MOST_EXTENTS; ) {
    const pieceStart = chunk.start + Math.floor((at - chunk.start) / FILL_PIECE) * FILL_PIECE;
    const unpacked = Math.min(FILL_PIECE, chunk.start + chunk.length - pieceStart);
    const stop = Math.min(end, pieceStart + unpacked);
    pieces.push({
      kind: "packed",
      start: at,
      length: stop - at,
      file: 0,
      at: chunk.at,
      packed: WORD,
      codec: "fill",
      skip: at - pieceStart,
      unpacked,
    });
    at = stop;
  }
  return pieces;
}

const firstEndingBehind = (chunks: readonly Chunk[], at: number): number =>
  countBefore(chunks.length, (i) => {
    const { start, length } = chunks[i] as Chunk;
    return start + length <= at;
  });

const STEP = 1 << 20;

/**
 * The format's header counts "don't care" as zeros; writers exist that leave it out of the sum. Either is accepted. What repeats is summed
 * once and raised to the length of its chunk: a few bytes can stand for terabytes.
 */
async function verifySums(
  file: ByteSource,
  { header, chunks, size }: SparseImage,
  compute: Compute,
  progress: VerifyProgress,
  signal?: AbortSignal,
): Promise<void> {
  let [withSkips, withoutSkips] = [0, 0];
  const compare = (stated: number, what: string, at: number): void => {
    if (stated === withSkips || stated === withoutSkips) return;
    const text = `${what} is ${hexNumber(stated)}, but the data gives ${hexNumber(withSkips)}`;
    throw new DiskError("corrupt", `${file.name}: Android sparse: ${text}`, { file: file.name, at });
  };
  for (const chunk of chunks) {
    signal?.throwIfAborted();
    progress(chunk.start, size);
    if (chunk.kind === "crc") {
      const view = new DataView((await file.read(chunk.at, WORD)).buffer);
      compare(view.getUint32(0, true), "the sum of a CRC chunk", chunk.at);
      continue;
    }
    if (chunk.kind !== "raw") {
      const pattern = chunk.kind === "fill" ? await file.read(chunk.at, WORD) : new Uint8Array(WORD);
      const sum = repeatCrc32(compute.crc32(pattern), WORD, chunk.length / WORD);
      withSkips = combineCrc32(withSkips, sum, chunk.length);
      if (chunk.kind !== "skip") withoutSkips = combineCrc32(withoutSkips, sum, chunk.length);
      continue;
    }
    for (let done = 0; done < chunk.length; done += STEP) {
      signal?.throwIfAborted();
      const bytes = await file.read(chunk.at + done, Math.min(STEP, chunk.length - done), signal);
      withSkips = compute.crc32(bytes, withSkips);
      withoutSkips = compute.crc32(bytes, withoutSkips);
    }
  }
  if (header.imageChecksum !== 0) compare(header.imageChecksum, "imageChecksum", Header.offsetOf("imageChecksum"));
}
