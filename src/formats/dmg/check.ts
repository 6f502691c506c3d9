import { crc32AfterZeros } from "../../core/crc32-algebra.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, CheckReport, Finding, OpenContext, Range, VerifyProgress } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { type BlockTable, chunksOf, hasData } from "./block-tables.ts";
import { faultOf, type Segment, SOUND } from "./chunk-map.ts";
import { CODECS, type DmgImage, errorOf, largestChunk, readDmg } from "./reader.ts";
import { CHECKSUM_CRC32, CHECKSUM_NONE, KIND_IGNORE, KIND_RAW, KIND_ZERO, Trailer } from "./spec.ts";

const MOST_FINDINGS = 1000;
/** Of a checksum over the file: bytes read at once. */
const PIECE = 1 << 20;

/**
 * Chunks that contradict each other or lie outside the file, bytes of the data fork that serve two chunks or none, and the CRC-32 sums:
 * of the data fork, of each table's plain data, and of those sums. Packed chunks that do not unpack are left to the walk over the disk.
 */
export async function checkDmg(file: ByteSource, { compute }: OpenContext, signal?: AbortSignal): Promise<CheckReport> {
  const image = await readDmg(file, compute);
  const check = new Check(file, image, compute, signal);
  check.chunks();
  check.dataFork();
  await check.checksums();
  return check.report();
}

/** The CRC-32 sums alone; the first that does not agree is a `corrupt` DiskError. */
export async function verifyDmg(file: ByteSource, { compute }: OpenContext, progress: VerifyProgress, signal?: AbortSignal): Promise<void> {
  const check = new Check(file, { ...(await readDmg(file, compute)), notes: [] }, compute, signal);
  progress(0, file.size);
  await check.checksums();
  const [fault] = check.report().findings.filter(({ severity }) => severity === "corruption");
  if (fault !== undefined)
    throw new DiskError("corrupt", `${file.name}: dmg: ${fault.text}`, {
      file: file.name,
      at: fault.at ?? 0,
      guest: fault.guest ?? undefined,
    });
}

class Check {
  readonly #file: ByteSource;
  readonly #image: DmgImage;
  readonly #compute: Compute;
  readonly #signal: AbortSignal | undefined;
  readonly #findings: Finding[] = [];
  #corruptions = 0;
  #leaks = 0;
  #allocated = 0;
  #packed = 0;
  #fragmented = 0;

  constructor(file: ByteSource, image: DmgImage, compute: Compute, signal: AbortSignal | undefined) {
    this.#file = file;
    this.#image = image;
    this.#compute = compute;
    this.#signal = signal;
    for (const { text, severity } of image.notes) if (severity === "warning") this.#add(severity, text, null);
  }

  #add(severity: Finding["severity"], text: string, at: number | null, guest: Range | null = null): void {
    if (severity === "corruption") this.#corruptions++;
    if (severity === "leak") this.#leaks++;
    if (this.#findings.length < MOST_FINDINGS) this.#findings.push({ severity, text, at, guest });
  }

  chunks(): void {
    const { map, size } = this.#image;
    let next = -1;
    for (const segment of map) {
      if (segment.fault !== SOUND) {
        const { message, at, guest } = errorOf(segment, this.#file.name, size);
        this.#add("corruption", message, at ?? null, guest ?? null);
      } else if (hasData(segment.chunk.kind)) {
        const { kind, at, packed } = segment.chunk;
        this.#allocated++;
        if (kind !== KIND_RAW) this.#packed++;
        if (next >= 0 && at !== next) this.#fragmented++;
        next = at + packed;
      }
    }
  }

  /** Every byte of the data fork should belong to one chunk. */
  dataFork(): void {
    const { trailer, trailerAt, map } = this.#image;
    const start = Number(trailer.dataForkOffset);
    let end = start + Number(trailer.dataForkLength);
    if (end > trailerAt) {
      this.#add("corruption", `the data fork ends at byte ${end}, past the trailer at ${trailerAt}`, this.#fieldAt("dataForkLength"));
      end = trailerAt;
    }
    let next = start;
    let before: { readonly at: number; readonly packed: number } | null = null;
    for (const { start: from, end: to, chunk } of inFileOrder(map)) {
      const { at, packed } = chunk;
      const guest = { start: from, length: to - from };
      if (at > next) this.#leak(next, at);
      else if (before !== null && before.at === at && before.packed === packed)
        this.#add("warning", `the data at byte ${at} serves more than one chunk`, at, guest);
      else if (at < next && before !== null) this.#add("corruption", `the data at byte ${at} overlaps that of another chunk`, at, guest);
      if (at < start || at + packed > end) this.#add("warning", `the data at byte ${at} lies outside the data fork`, at, guest);
      next = Math.max(next, at + packed);
      before = chunk;
    }
    if (next < end) this.#leak(next, end);
  }

  #leak(from: number, to: number): void {
    this.#add("leak", `bytes ${from} to ${to} of the data fork belong to no chunk`, from);
  }

  async checksums(): Promise<void> {
    const { trailer, tables, trailerAt } = this.#image;
    const dataAt = Number(trailer.dataForkOffset);
    const dataEnd = Math.min(trailerAt, dataAt + Number(trailer.dataForkLength));
    if (this.#isSummed(trailer.dataChecksumType, "the data fork", this.#fieldAt("dataChecksumType")))
      this.#compare("the data fork", trailer.dataChecksum, await this.#sumOfFile(0, dataAt, dataEnd), this.#fieldAt("dataChecksum"), null);
    for (const table of tables) await this.#tableChecksum(table);
    if (!this.#isSummed(trailer.masterChecksumType, "the block tables' checksums", this.#fieldAt("masterChecksumType"))) return;
    const master = tables.reduce((sum, { head }) => this.#compute.crc32(head.checksum.subarray(0, 4), sum), 0);
    this.#compare("the block tables' checksums", trailer.masterChecksum, master, this.#fieldAt("masterChecksum"), null);
  }

  async #tableChecksum(table: BlockTable): Promise<void> {
    const what = `what block table "${table.name}" describes`;
    if (!this.#isSummed(table.head.checksumType, what, table.place)) return;
    let sum = 0;
    let end = table.start;
    for (const chunk of chunksOf(table)) {
      const { kind, start, length, at, packed } = chunk;
      this.#signal?.throwIfAborted();
      end = start + length;
      if (kind === KIND_IGNORE) continue;
      if (kind === KIND_ZERO) {
        sum = crc32AfterZeros(sum, length);
        continue;
      }
      const codec = CODECS.get(kind);
      if (faultOf(chunk, this.#image.trailerAt) !== SOUND || (codec === undefined ? kind !== KIND_RAW : length > largestChunk(codec)))
        return;
      if (codec === undefined) sum = await this.#sumOfFile(sum, at, at + packed);
      else {
        const plain = await this.#unpack({ codec, unpacked: length }, at, packed);
        if (plain === null) return;
        sum = this.#compute.crc32(plain, sum);
      }
    }
    this.#compare(what, table.head.checksum, sum, table.place, { start: table.start, length: end - table.start });
  }

  /** Null: the chunk is damaged, or there is no decoder; reading the disk tells which. */
  async #unpack(packing: Parameters<Compute["decode"]>[0], at: number, packed: number): Promise<Uint8Array | null> {
    try {
      return await this.#compute.decode(packing, await this.#file.read(at, packed, this.#signal));
    } catch (error) {
      if (error instanceof DiskError && error.code !== "io") return null;
      throw error;
    }
  }

  async #sumOfFile(seed: number, from: number, to: number): Promise<number> {
    let sum = seed;
    for (let at = from; at < to; at += PIECE) {
      this.#signal?.throwIfAborted();
      sum = this.#compute.crc32(await this.#file.read(at, Math.min(PIECE, to - at), this.#signal), sum);
    }
    return sum;
  }

  #isSummed(type: number, what: string, at: number): boolean {
    if (type !== CHECKSUM_NONE && type !== CHECKSUM_CRC32)
      this.#add("warning", `the checksum of ${what} is of type ${type}, which is not verified`, at);
    return type === CHECKSUM_CRC32;
  }

  #compare(what: string, stated: Uint8Array, actual: number, at: number, guest: Range | null): void {
    const sum = new DataView(stated.buffer, stated.byteOffset, 4).getUint32(0);
    if (sum !== actual)
      this.#add("corruption", `the stated CRC-32 of ${what} is ${hex(sum)}, but its bytes give ${hex(actual)}`, at, guest);
  }

  #fieldAt(field: Parameters<typeof Trailer.offsetOf>[0]): number {
    return this.#image.trailerAt + Trailer.offsetOf(field);
  }

  report(): CheckReport {
    return {
      corruptions: this.#corruptions,
      leaks: this.#leaks,
      allocatedClusters: this.#allocated,
      totalClusters: this.#image.map.length,
      compressedClusters: this.#packed,
      fragmentedClusters: this.#fragmented,
      imageEndOffset: this.#file.size,
      findings: this.#findings,
    };
  }
}

/** The segments whose data are in the file, by where they lie there. */
function* inFileOrder(map: DmgImage["map"]): Generator<Segment> {
  const places = new Float64Array(map.length).fill(-1);
  let i = 0;
  for (const { fault, chunk } of map) {
    if (fault === SOUND && hasData(chunk.kind) && chunk.packed > 0) places[i] = chunk.at;
    i++;
  }
  const order = new Uint32Array(map.length).map((_, n) => n).sort((a, b) => (places[a] as number) - (places[b] as number));
  for (const number of order) if ((places[number] as number) >= 0) yield map.segment(number);
}

const hex = (value: number): string => `0x${value.toString(16).padStart(8, "0")}`;
