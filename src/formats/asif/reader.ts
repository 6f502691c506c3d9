import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import { type ByteSource, type Extent, type Note, type OpenContext, RUN_HOLE, type Volume } from "../../core/model.ts";
import { ChunkTables, type Geometry, geometryOf, isData, runOf } from "./chunk-tables.ts";
import { ENTRY_BYTES, Header, SIGNATURE } from "./spec.ts";

/** Extents of one answer. */
const MOST_EXTENTS = 4096;
const SMALLEST_CHUNK = 1 << 12;
const LARGEST_CHUNK = 1 << 26;

/** Opens an ASIF image: the newer of two directories, tables of chunk numbers, chunks of (usually) 1 MiB. */
export async function openAsif(file: ByteSource, { compute, signal }: OpenContext): Promise<Volume> {
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
  const tables = new ChunkTables(file, directory.at + ENTRY_BYTES, geometry, compute.scanTable);
  return {
    format: "asif",
    variant: "",
    size,
    unit: chunkSize,
    files: [file],
    parent: null,
    identity: null,
    snapshots: [],
    unsupported: [],
    notes,
    encrypted: false,
    details: {
      "chunk-size": chunkSize,
      "block-size": blockSize,
      uuid: uuidText(fields.guid),
      "max-size": (fields.maxSectorCount * BigInt(blockSize)).toString(),
      "directory-version": directory.version.toString(),
    },
    extents: extentsOf(file, size, geometry, tables),
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

function extentsOf(file: ByteSource, size: number, { chunk, groupEntries }: Geometry, tables: ChunkTables): Volume["extents"] {
  const groupBytes = chunk * groupEntries;
  return async (start, length, signal) => {
    signal?.throwIfAborted();
    const number = Math.floor(start / groupBytes);
    const groupStart = number * groupBytes;
    const end = Math.min(start + length, groupStart + groupBytes);
    const { runs, at: tableAt } = await tables.group(number).catch((error: unknown) => {
      throw cutAt(error, size);
    });
    if (runs === null || tableAt === null) return [{ kind: "hole", start, length: end - start }];
    const out: Extent[] = [];
    let at = start;
    for (
      let run = runOf(runs, Math.floor((start - groupStart) / chunk));
      run < runs.length && at < end && out.length < MOST_EXTENTS;
      run++
    ) {
      const runStart = groupStart + (runs.first[run] as number) * chunk;
      const stop = Math.min(end, runStart + (runs.count[run] as number) * chunk);
      if (runs.kind[run] === RUN_HOLE) {
        out.push({ kind: "hole", start: at, length: stop - at });
        at = stop;
        continue;
      }
      const place = (runs.at[run] as number) + (at - runStart);
      const sound = isData(runs, run) ? soundBytes(file.size, place, at, stop, chunk) : 0;
      if (sound > 0) out.push({ kind: "raw", start: at, length: sound, file: 0, at: place });
      if (sound < stop - at) {
        if (out.length > 0) return out;
        const index = Math.floor((at - groupStart) / chunk);
        const chunkStart = groupStart + index * chunk;
        const why = isData(runs, run)
          ? `at byte ${place} ends past the end of the file at ${file.size}`
          : "has an entry with bits that are not known";
        throw new DiskError("corrupt", `asif: chunk ${chunkStart / chunk} of the disk ${why}`, {
          file: file.name,
          at: tableAt + index * ENTRY_BYTES,
          guest: { start: chunkStart, length: Math.min(chunkStart + chunk, size) - chunkStart },
        });
      }
      at = stop;
    }
    return out;
  };
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

function uuidText(id: Uint8Array): string {
  const digits = Array.from(id, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
