import { checkRange } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import { RecentPieces } from "../core/recent-pieces.ts";
import type { Struct } from "../core/struct.ts";

/** A partition that holds a file system. `read` gives exactly the bytes asked for, counted from the partition's start, or throws. */
export interface Part {
  /** For messages: "Partition 2". */
  readonly name: string;
  readonly length: number;
  read(at: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** What its pages are kept in, shared by the partitions of a disk, however many; absent: one of its own. */
  readonly cache?: PageCache;
}

/** What a file system leaves free. Whatever is in doubt counts as in use. */
export interface FreeMap {
  /** "ext4", "fat32", "ntfs". */
  readonly kind: string;
  /** Bytes of the smallest piece that is free or not. */
  readonly unit: number;
  /** Answers for a part of the window, from its start, so that time and memory stay bounded however large the file system is. */
  free(start: number, length: number, signal?: AbortSignal): Promise<FreeRanges>;
}
export interface FreeRanges {
  /** Bytes of the partition: ascending, not touching, inside the answered part of the window, in whole units but where the window cuts one. */
  readonly ranges: readonly Range[];
  /** Up to where the answer holds: past the window's start, at most its end. */
  readonly end: number;
  /** Bytes of the answered part that stay because their marks contradict each other or cannot be read. */
  readonly doubtful: number;
}

/** Opens the free map of one kind of file system; every field that is relied on is validated first. */
export type OpenFreeMap = (part: Part, compute: FreeCompute, signal?: AbortSignal) => Promise<FreeMap>;
export interface FreeCompute {
  /** `seed`: the sum of the bytes before. */
  crc32c(bytes: Uint8Array, seed?: number): number;
}

/** One answer lists no more ranges than this. */
export const MOST_RANGES = 4096;

const PAGE = 64 << 10;
/** 16 MiB: bitmap for half a tebibyte of 4 KiB clusters. */
const MOST_PAGES = 256;

/** More than any partition has, and few enough that the 8192 partitions of the largest table have numbers of their own. */
const PART_PAGES = 2 ** 53 / PAGE;

/** The pages read last, of one partition or of several: never more than 16 MiB of them. */
export class PageCache {
  private readonly pages = new RecentPieces<Uint8Array>(MOST_PAGES);
  private parts = 0;

  /** A partition's own way into it. Pages are asked for by their numbers in the partition. */
  join(): RecentPieces<Uint8Array>["get"] {
    const first = this.parts++ * PART_PAGES;
    return (number, load) => this.pages.get(first + number, load);
  }
}

/** A partition's bytes, read in pages of 64 KiB of which the latest are kept. */
export class PartPages {
  readonly part: Part;
  private readonly kept: RecentPieces<Uint8Array>["get"];

  constructor(part: Part) {
    this.part = part;
    this.kept = (part.cache ?? new PageCache()).join();
  }

  /** A copy of the bytes; `corrupt` when they do not lie inside the partition. */
  async bytes(at: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange({ name: this.part.name, size: this.part.length }, at, length);
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const number = Math.floor((at + done) / PAGE);
      const within = (at + done) % PAGE;
      const part = Math.min(PAGE - within, length - done);
      const page = await this.page(number, signal).catch((error: unknown) => {
        if (error instanceof DiskError) return null;
        throw error;
      });
      // A page may be unreadable because of bytes that were not asked for.
      out.set(page?.subarray(within, within + part) ?? (await this.part.read(at + done, part, signal)), done);
      done += part;
    }
    return out;
  }

  private page(number: number, signal?: AbortSignal): Promise<Uint8Array> {
    const at = number * PAGE;
    return this.kept(number, () => this.part.read(at, Math.min(PAGE, this.part.length - at), signal));
  }
}

/** The runs of zero bits among the bits `from` to `to`, bit 0 of a byte first; counted in bits. `bits` has a buffer of its own. */
export function* zeroRuns(bits: Uint8Array, from: number, to: number): Generator<Range> {
  const words = new Int32Array(bits.buffer, 0, bits.length >> 2);
  for (let start = from; start < to; ) {
    start = firstOther(bits, words, -1, start, to);
    const end = firstOther(bits, words, 0, start, to);
    if (end > start) yield { start, length: end - start };
    start = end;
  }
}

/** The first bit from `at` on that is not as those of `word` (0 or -1); `to` when there is none. */
function firstOther(bits: Uint8Array, words: Int32Array, word: 0 | -1, at: number, to: number): number {
  for (let bit = at; bit < to; ) {
    if ((bit & 31) === 0 && bit + 32 <= to && words[bit >> 5] === word) bit += 32;
    else if ((((bits[bit >> 3] as number) >> (bit & 7)) & 1) === (word & 1)) bit++;
    else return bit;
  }
  return to;
}

/** Adds what of a range lies between `from` and `to`; one that touches the last is joined to it. */
export function addRange(ranges: Range[], range: Range, from: number, to: number): void {
  const start = Math.max(range.start, from);
  const end = Math.min(range.start + range.length, to);
  if (start >= end) return;
  const last = ranges[ranges.length - 1];
  if (last !== undefined && last.start + last.length === start) ranges[ranges.length - 1] = { start: last.start, length: end - last.start };
  else ranges.push({ start, length: end - start });
}

/** Tells what is wrong with a field of a structure that lies at `at` of the partition. */
export function fieldFaults<V>(kind: string, part: Part, layout: Struct<V>, at: number) {
  return (field: keyof V & string, value: unknown, expected: string): DiskError => {
    const place = at + layout.offsetOf(field);
    return new DiskError("corrupt", `${part.name}: ${kind}: ${field} at byte ${place} is ${value}, expected ${expected}`, { at: place });
  };
}

/** The file system is sound, as far as is known, but its marks of free space are not to be relied on. */
export const notReliable = (kind: string, part: Part, why: string): DiskError =>
  new DiskError("unsupported", `${part.name}: ${kind}: ${why}`);

export const isPowerOfTwo = (n: number): boolean => Number.isSafeInteger(n) && n > 0 && 2 ** Math.round(Math.log2(n)) === n;
