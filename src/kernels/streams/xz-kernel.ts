import { XZ_BASE64 } from "../../../build/xz.js";
import { kernelModule } from "./instance.ts";

/** What each does is stated in `assembly/xz/`; places are offsets into the memory. */
export interface XzExports {
  heapBase(): number;
  checkFinish(check: number): number;
  checkStart(check: number): void;
  checkUpdate(check: number, at: number, length: number): void;
  crc32(at: number, length: number, seed: number): number;
  crc64(sum: number, at: number, length: number): void;
  filterRun(id: number, slot: number, at: number, length: number, position: number, distance: number): number;
  filterStart(slot: number): void;
  lzmaBegin(input: number, packed: number, unpacked: number): number;
  lzmaDecode(input: number, packed: number, dictionary: number, size: number, room: number): number;
  lzmaInputAt(): number;
  lzmaMoved(position: number): void;
  lzmaPosition(): number;
  lzmaProperties(byte: number): number;
  lzmaReach(): number;
  lzmaResetDictionary(): void;
  lzmaResetState(): void;
  lzmaState(): number;
  lzmaStateBytes(): number;
  lzmaStored(from: number, length: number, dictionary: number, size: number): number;
}

/** LZMA2: the most packed bytes of a chunk. */
export const CHUNK_BYTES = 1 << 16;
/** Bytes that filters work on at once, and what they may hold back in front of them. */
export const FILTER_BYTES = 1 << 16;
export const FILTER_FRONT = 64;
const SMALL_BYTES = 1 << 10;
/** `assembly/xz/lzma.ts`: its MARGIN, by which the dictionary's buffer is longer than the dictionary. */
export const DICTIONARY_MARGIN = 64;
/** What may be touched behind the input and behind the dictionary's buffer. */
const SLACK = 64;

const instantiate = kernelModule<XzExports>(XZ_BASE64);

/** One instance with its memory: a chunk's packed bytes, the filters' bytes, small things, the dictionary. */
export class XzKernel {
  readonly exports: XzExports;
  readonly input: number;
  readonly filtered: number;
  readonly small: number;
  readonly dictionary: number;
  readonly #reserve: (bytes: number) => Uint8Array<ArrayBuffer>;
  readonly #base: number;
  #memory: Uint8Array<ArrayBuffer>;

  constructor() {
    const { exports, base, reserve } = instantiate();
    this.exports = exports;
    this.#base = base;
    this.#reserve = reserve;
    this.input = base;
    this.filtered = this.input + CHUNK_BYTES + SLACK + FILTER_FRONT;
    this.small = this.filtered + FILTER_BYTES + SLACK;
    this.dictionary = this.small + SMALL_BYTES;
    this.#memory = reserve(this.dictionary - base);
  }

  /** Holds until the next `reserve`. */
  get memory(): Uint8Array<ArrayBuffer> {
    return this.#memory;
  }

  /** Makes room for a dictionary of `size` bytes. */
  reserve(size: number): void {
    this.#memory = this.#reserve(this.dictionary + size + DICTIONARY_MARGIN + SLACK - this.#base);
  }

  /** CRC-32 of at most 1 KiB. */
  crc32(bytes: Uint8Array, seed = 0): number {
    this.#memory.set(bytes, this.small);
    return this.exports.crc32(this.small, bytes.length, seed) >>> 0;
  }

  /** CRC-64 of a few bytes; `sum`: 8 bytes, changed in place. */
  crc64(sum: Uint8Array, bytes: Uint8Array): void {
    this.#memory.set(sum, this.small);
    this.#memory.set(bytes, this.small + sum.length);
    this.exports.crc64(this.small, this.small + sum.length, bytes.length);
    sum.set(this.#memory.subarray(this.small, this.small + sum.length));
  }

  /** Everything the kernels keep between calls but the dictionary; the caller's own. */
  saveState(): Uint8Array {
    const at = this.exports.lzmaState();
    return this.#memory.slice(at, at + this.exports.lzmaStateBytes());
  }
  restoreState(state: Uint8Array): void {
    this.#memory.set(state, this.exports.lzmaState());
  }
}
