import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource, Extent, Note, OpenContext, Range, Volume } from "../../core/model.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { uuidText } from "../../core/uuid.ts";
import { type ChunkRun, ChunkTables, type Geometry, type Group, geometryOf } from "./chunk-tables.ts";
import { BLOCK_EMPTY, BLOCK_WRITTEN, BLOCKS_PER_BYTE, ENTRY_BYTES, Header, SIGNATURE } from "./spec.ts";

/** Extents of one answer, about, and bitmaps read for it. */
const MOST_EXTENTS = 4096;
const MOST_BITMAPS = 64;
const SMALLEST_CHUNK = 1 << 12;
const LARGEST_CHUNK = 1 << 26;

/** Opens an ASIF image: the newer of two directories, tables of chunk numbers, chunks of (usually) 1 MiB. */
export async function openAsif(file: ByteSource, { signal }: OpenContext): Promise<Volume> {
  const fields = Header.read(await file.read(0, Header.bytes, signal));
  const refuse = (code: DiskErrorCode, field: keyof typeof fields, expected: string) =>
    new DiskError(code, `asif: ${field} is ${fields[field]}, expected ${expected}`, { file: file.name, at: Header.offsetOf(field) });
  const { blockSize, chunkSize, sectorCount } = fields;
  if (fields.signature !== SIGNATURE) throw refuse("corrupt", "signature", `${SIGNATURE} ("shdw")`);
  if (fields.headerSize < Header.bytes) throw refuse("corrupt", "headerSize", `at least ${Header.bytes}`);
  if (blockSize !== 512 && blockSize !== 4096) throw refuse("corrupt", "blockSize", "512 or 4096");
  if (!isPowerOfTwo(chunkSize) || chunkSize < SMALLEST_CHUNK || chunkSize > LARGEST_CHUNK)
    throw refuse("corrupt", "chunkSize", `a power of two from ${SMALLEST_CHUNK} to ${LARGEST_CHUNK}`);
  if (fields.totalSegments > 1) throw refuse("unsupported", "totalSegments", "0 or 1; images in several files are not read");
  const geometry = geometryOf(chunkSize, blockSize);
  if (geometry.tableGroups === 0) throw refuse("corrupt", "chunkSize", `room for ${geometry.groupEntries + 1} entries in a chunk`);
  if (sectorCount === 0n || sectorCount > BigInt(Math.floor(Number.MAX_SAFE_INTEGER / blockSize)))
    throw refuse("corrupt", "sectorCount", "a disk of 1 sector to 2^53 bytes");
  if (sectorCount > fields.maxSectorCount) throw refuse("corrupt", "sectorCount", `at most maxSectorCount, ${fields.maxSectorCount}`);
  const size = Number(sectorCount) * blockSize;
  const directory = await activeDirectory(file, [fields.directory0, fields.directory1], signal);
  const notes: Note[] = [];
  if (fields.version !== 1)
    notes.push({ text: `The image is of version ${fields.version}; only version 1 is known.`, severity: "warning" });
  const tables = new ChunkTables(file, directory.at + ENTRY_BYTES, geometry);
  if (!tables.tracked) notes.push({ text: "The file has too many chunks to look for those that are used twice.", severity: "warning" });
  return {
    ...STANDALONE,
    format: "asif",
    variant: "",
    size,
    unit: chunkSize,
    files: [file],
    notes,
    details: {
      "chunk-size": chunkSize,
      "block-size": blockSize,
      uuid: uuidText(fields.guid),
      "max-size": (fields.maxSectorCount * BigInt(blockSize)).toString(),
      "directory-version": directory.version.toString(),
    },
    extents: extentsOf({ file, size, geometry }, tables),
  };
}

const isPowerOfTwo = (n: number): boolean => n > 0 && (n & (n - 1)) === 0;

/** Each directory begins with a version; the higher one is in force. */
async function activeDirectory(file: ByteSource, offsets: readonly [bigint, bigint], signal?: AbortSignal) {
  const found = await Promise.all(
    offsets.map(async (offset, i) => {
      const field = i === 0 ? "directory0" : "directory1";
      if (offset < BigInt(Header.bytes) || offset + BigInt(ENTRY_BYTES) > BigInt(file.size))
        throw new DiskError(
          "corrupt",
          `asif: ${field} is ${offset}, expected a place behind the header in the file of ${file.size} bytes`,
          {
            file: file.name,
            at: Header.offsetOf(field),
          },
        );
      const version = new DataView((await file.read(Number(offset), ENTRY_BYTES, signal)).buffer).getBigUint64(0);
      return { at: Number(offset), version };
    }),
  );
  const [first, second] = found as [(typeof found)[number], (typeof found)[number]];
  return second.version > first.version ? second : first;
}

interface Image {
  readonly file: ByteSource;
  readonly size: number;
  readonly geometry: Geometry;
}
/** A run with its group; `start`: where its first chunk begins on the disk. */
interface PlacedRun extends ChunkRun {
  readonly group: Group;
  readonly start: number;
}

/** Answers for one group at a time; stops before what cannot be known. */
function extentsOf(image: Image, tables: ChunkTables): Volume["extents"] {
  const { chunk, groupEntries } = image.geometry;
  const groupBytes = chunk * groupEntries;
  return async (start, length, signal) => {
    signal?.throwIfAborted();
    const number = Math.floor(start / groupBytes);
    const groupStart = number * groupBytes;
    const end = Math.min(start + length, groupStart + groupBytes);
    const group = await tables.group(number).catch((error: unknown) => {
      throw cutAt(error, image.size);
    });
    const out: Extent[] = [];
    let bitmaps = 0;
    let at = start;
    for (const run of group.runs) {
      const runStart = groupStart + run.first * chunk;
      const stop = Math.min(end, runStart + run.count * chunk);
      if (stop <= at) continue;
      if (out.length >= MOST_EXTENTS || bitmaps >= MOST_BITMAPS) break;
      if (run.kind === "partial") bitmaps++;
      const { extents, error } = await extentsOfRun(image, { ...run, group, start: runStart }, at, stop, signal);
      for (const extent of extents) out.push(extent);
      if (error !== null && out.length === 0) throw error;
      if (error !== null) break;
      at = stop;
    }
    return out;
  };
}

/** `error`: why the extents stop before the range does. */
interface RunExtents {
  readonly extents: readonly Extent[];
  readonly error: DiskError | null;
}

/** What a run of a group says of the disk from `start` to `stop`. */
async function extentsOfRun(image: Image, run: PlacedRun, start: number, stop: number, signal?: AbortSignal): Promise<RunExtents> {
  const { file, geometry } = image;
  const { kind, problem } = run;
  if (kind === "partial") return extentsOfPartial(image, run, start, stop, signal);
  if (kind === "empty") return { extents: [{ kind: "hole", start, length: stop - start }], error: null };
  if (kind === "bad") return { extents: [], error: damage(image, run, start, null, problem as string) };
  const place = run.at + (start - run.start);
  const sound = soundBytes(file.size, place, start, stop, geometry.chunk);
  const why = `is at byte ${place + sound}, but the file ends at byte ${file.size}`;
  return {
    extents: sound > 0 ? [{ kind: "raw", start, length: sound, file: 0, at: place }] : [],
    error: sound === stop - start ? null : damage(image, run, start + sound, null, why),
  };
}

/** The blocks of one chunk that were never written are zero, whatever stands in their place. [HUVEN] Readers */
async function extentsOfPartial(image: Image, run: PlacedRun, start: number, stop: number, signal?: AbortSignal): Promise<RunExtents> {
  const { file, geometry } = image;
  const { chunk, block } = geometry;
  const length = chunk / block / BLOCKS_PER_BYTE;
  const at = (run.group.bitmapAt as number) + run.first * length;
  const extents: Extent[] = [];
  const ended = (error: DiskError | null): RunExtents => ({ extents, error });
  if (at + length > file.size) return ended(damage(image, run, start, null, "was written in part, and the file ends before it says which"));
  for (const { from, to, state } of blockRuns(await file.read(at, length, signal), start - run.start, stop - run.start, block)) {
    const part = { start: run.start + from, length: to - from };
    if (state === BLOCK_EMPTY) extents.push({ kind: "hole", ...part });
    else if (state !== BLOCK_WRITTEN)
      return ended(damage(image, run, part.start, part, `has blocks in state ${state}, which is not known`, "unsupported"));
    else if (run.at + to > file.size)
      return ended(damage(image, run, part.start, part, `has data up to byte ${run.at + to}, but the file ends at byte ${file.size}`));
    else extents.push({ kind: "raw", ...part, file: 0, at: run.at + from });
  }
  return ended(null);
}

/** `guest`: what of the chunk that holds byte `place` of the disk cannot be read; null: all of it. */
function damage(
  { file, size, geometry }: Image,
  run: PlacedRun,
  place: number,
  guest: Range | null,
  why: string,
  code: DiskErrorCode = "corrupt",
): DiskError {
  const { chunk } = geometry;
  const index = Math.floor((place - run.start) / chunk);
  const start = run.start + index * chunk;
  return new DiskError(code, `asif: chunk ${start / chunk} of the disk ${why}`, {
    file: file.name,
    at: (run.group.at as number) + (run.first + index) * ENTRY_BYTES,
    guest: guest ?? { start, length: Math.min(chunk, size - start) },
  });
}

/** Stretches of a chunk from byte `from` to `to` whose blocks are in one state. [HUVEN] Bitmap Chunk */
function* blockRuns(states: Uint8Array, from: number, to: number, block: number): Generator<{ from: number; to: number; state: number }> {
  const stateAt = (at: number): number => {
    const number = Math.floor(at / block);
    return ((states[Math.floor(number / BLOCKS_PER_BYTE)] as number) >> ((number % BLOCKS_PER_BYTE) * 2)) & 3;
  };
  for (let at = from; at < to; ) {
    const state = stateAt(at);
    let next = at - (at % block) + block;
    while (next < to && stateAt(next) === state) next += block;
    yield { from: at, to: Math.min(next, to), state };
    at = Math.min(next, to);
  }
}

/** Of the bytes `at..stop` of the disk, held at `place`: those of whole chunks inside the file. */
function soundBytes(fileSize: number, place: number, at: number, stop: number, chunk: number): number {
  if (place + (stop - at) <= fileSize) return stop - at;
  return Math.max(0, Math.floor((at + fileSize - place) / chunk) * chunk - at);
}

/** The guest range of a group's damage ends with the disk. */
function cutAt(error: unknown, size: number): unknown {
  if (!(error instanceof DiskError) || error.guest === undefined) return error;
  const { start, length } = error.guest;
  return new DiskError(error.code, error.message, {
    file: error.file,
    at: error.at,
    guest: { start, length: Math.min(length, size - start) },
  });
}
