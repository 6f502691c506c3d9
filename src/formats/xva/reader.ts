import { type TarEntry, walkTar } from "../../archives/tar.ts";
import { sliceSource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import { hexText } from "../../core/hex.ts";
import type { ByteSource, Extent, FormatContext, Note, VerifyProgress, Volume } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { firstAtLeast } from "../../core/sorted.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { type DiskEntry, readDisks } from "./descriptor.ts";
import { CHUNK, CHUNK_NAME, DESCRIPTOR } from "./spec.ts";

const SECTOR = 512;
/** One answer of the map lists no more extents than this. */
const MOST_EXTENTS = 4096;

/** The chunks of one disk, ascending: number, and place in the archive. */
interface Chunks {
  readonly numbers: number[];
  readonly places: number[];
  /** Places of their SHA-1 files; 0: none. */
  readonly sums: number[];
  /** Bytes of the last one; the others are whole. */
  lastLength: number;
}

const noChunks = (): Chunks => ({ numbers: [], places: [], sums: [], lastLength: CHUNK });

/** Opens a disk of a XenServer or XCP-ng export: a tar archive of its descriptor and of the disks' chunks. Chunks that are all zero are left out. */
export async function openXva(file: ByteSource, context: FormatContext): Promise<Volume> {
  let descriptor: ByteSource | null = null;
  const chunks = new Map<string, Chunks>();
  for await (const entry of walkTar(file, context.signal)) {
    if (entry.map !== null) throw fault(file, `${entry.name} is stored as a sparse file, which no export does`, entry.at);
    if (entry.name === DESCRIPTOR) descriptor = sliceSource(file, entry.at, entry.stored, DESCRIPTOR);
    else addChunk(file, entry, chunks);
  }
  if (descriptor === null) throw fault(file, `there is no ${DESCRIPTOR}`, 0);
  const disks = await readDisks(descriptor);
  const disk = chooseDisk(file, disks, chunks, context.member);
  const list = chunks.get(disk.id) ?? noChunks();
  checkChunks(file, disk, list);
  const size = Math.ceil(disk.size / SECTOR) * SECTOR;
  const hasSums = list.sums.some((at) => at > 0);
  const notes: Note[] = [];
  if (disks.length > 1)
    notes.push({ text: `This is ${disk.id}${disk.name && ` “${disk.name}”`}, one of ${disks.length} disks.`, severity: "info" });
  return {
    ...STANDALONE,
    format: "xva",
    variant: "",
    size,
    unit: CHUNK,
    files: [file],
    notes,
    details: { disk: disk.id, name: disk.name, chunks: list.numbers.length, disks: disks.map(({ id }) => id) },
    extents: async (start, length) => listExtents(list, disk.size, start, length),
    ...(hasSums && { verify: (progress, signal) => verifyChunks(file, list, disk, context.compute, progress, signal) }),
  };
}

const fault = (file: ByteSource, text: string, at: number) =>
  new DiskError("corrupt", `${file.name}: xva: ${text}`, { file: file.name, at });

function addChunk(file: ByteSource, { name, at, stored }: TarEntry, all: Map<string, Chunks>): void {
  const match = CHUNK_NAME.exec(name);
  if (match === null) return;
  const [, id = "", digits = "", kind] = match;
  const number = Number(digits);
  const chunks = all.get(id) ?? noChunks();
  all.set(id, chunks);
  const last = chunks.numbers.length - 1;
  if (kind !== undefined) {
    if (chunks.numbers[last] !== number) throw fault(file, `the checksum ${name} does not follow its chunk`, at);
    if (kind === ".checksum") {
      if (stored !== 40) throw fault(file, `${name} has ${stored} bytes, expected 40`, at);
      chunks.sums[last] = at;
    }
    return;
  }
  if (stored === 0 || stored > CHUNK) throw fault(file, `${name} has ${stored} bytes, expected at most ${CHUNK}`, at);
  if (last >= 0 && number <= (chunks.numbers[last] as number)) throw fault(file, `${name} does not follow the chunk before it`, at);
  if (last >= 0 && chunks.lastLength !== CHUNK) throw fault(file, `a chunk ahead of ${name} is shorter than ${CHUNK} bytes`, at);
  chunks.numbers.push(number);
  chunks.places.push(at);
  chunks.sums.push(0);
  chunks.lastLength = stored;
}

function chooseDisk(
  file: ByteSource,
  disks: readonly DiskEntry[],
  chunks: ReadonlyMap<string, Chunks>,
  member: string | undefined,
): DiskEntry {
  const named = disks.find(({ id }) => id === member);
  if (named !== undefined) return named;
  const [first, ...more] = disks;
  if (first === undefined)
    throw new DiskError("wrong-format", `${file.name}: xva: ${DESCRIPTOR} lists no disk`, { file: file.name, at: 0 });
  const stored = disks.filter(({ id }) => chunks.has(id));
  if (member === undefined && more.length === 0) return first;
  if (member === undefined && stored.length === 1) return stored[0] as DiskEntry;
  const choices = disks.map(({ id }) => id);
  const found = member === undefined ? `${disks.length} disks` : `no disk “${member}”`;
  throw new DiskError("choice", `${file.name} holds ${found}; choose one (--member NAME): ${choices.join(", ")}`, {
    file: file.name,
    choices,
  });
}

/** The export always holds the first and the last chunk, whatever is in them: by the last one a cut archive is known. */
function checkChunks(file: ByteSource, disk: DiskEntry, { numbers, places, lastLength }: Chunks): void {
  const count = Math.ceil(disk.size / CHUNK);
  const last = numbers[numbers.length - 1];
  if (last === undefined) throw fault(file, `there is no chunk of ${disk.id}: the archive is truncated`, 0);
  const at = places[places.length - 1] as number;
  if (last >= count) throw fault(file, `chunk ${last} of ${disk.id} lies past virtual_size ${disk.size}`, at);
  if (last < count - 1) throw fault(file, `the last chunk of ${disk.id} is ${last}, expected ${count - 1}: the archive is truncated`, at);
  if (lastLength !== CHUNK && lastLength < disk.size - last * CHUNK)
    throw fault(file, `chunk ${last} of ${disk.id} has only ${lastLength} bytes`, at);
}

function listExtents({ numbers, places }: Chunks, diskSize: number, start: number, length: number): readonly Extent[] {
  const list: Extent[] = [];
  const end = start + length;
  let at = start;
  for (let i = firstAtLeast(numbers, Math.floor(start / CHUNK)); at < end && list.length < MOST_EXTENTS; i++) {
    const number = numbers[i];
    const chunkStart = number === undefined ? end : Math.min(end, number * CHUNK);
    if (chunkStart > at) list.push({ kind: "hole", start: at, length: chunkStart - at });
    at = Math.max(at, chunkStart);
    if (number === undefined || at >= end) break;
    const stop = Math.min(end, (number + 1) * CHUNK, diskSize);
    if (stop > at) list.push({ kind: "raw", start: at, length: stop - at, file: 0, at: (places[i] as number) + at - number * CHUNK });
    at = Math.max(at, stop);
  }
  return list;
}

async function verifyChunks(
  file: ByteSource,
  { numbers, places, sums, lastLength }: Chunks,
  disk: DiskEntry,
  compute: Compute,
  progress: VerifyProgress,
  signal?: AbortSignal,
): Promise<void> {
  for (const [i, place] of places.entries()) {
    const sumAt = sums[i] as number;
    if (sumAt === 0) continue;
    signal?.throwIfAborted();
    const start = (numbers[i] as number) * CHUNK;
    const stored = i === places.length - 1 ? lastLength : CHUNK;
    const hash = compute.hash("sha1");
    hash.update(await file.read(place, stored, signal));
    const actual = hexText(hash.digest());
    const stated = new TextDecoder().decode(await file.read(sumAt, 40, signal)).toLowerCase();
    if (actual !== stated) {
      const guest = { start, length: Math.min(CHUNK, disk.size - start) };
      throw new DiskError("corrupt", `${file.name}: xva: chunk ${numbers[i]} of ${disk.id} does not give its SHA-1`, {
        file: file.name,
        at: place,
        guest,
      });
    }
    progress(i * CHUNK, places.length * CHUNK);
  }
}
