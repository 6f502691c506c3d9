export interface ZstdHistoryState {
  /** The last bytes that were made: the window, or all there are. */
  readonly made: Uint8Array;
}

/** Room for a block, and what may be touched around it. */
const BLOCK = 1 << 17;
const SLACK = 64;
const FIRST_ROOM = 1 << 20;

/**
 * What a frame has made, as far back as its window, and the block that comes next. Windows are up to 128 MiB and blocks at most
 * 128 KiB, so nothing is moved: the room is used round and round, a block always in one piece. Up to its full size it grows as
 * more is made.
 */
export class ZstdHistory {
  /** Place of the next byte to be made. */
  at: number;
  /** How far back matches may reach, and how much of that is there. */
  window = 0;
  made = 0;
  /** What was made since the room was last begun anew lies from `start` on; what was made before that ends at `older`. */
  readonly start: number;
  older: number;
  readonly #memoryUpTo: (end: number) => Uint8Array;
  #capacity = 0;
  #limit = 0;

  /** `memoryUpTo`: the memory, made large enough to reach to `end`. */
  constructor(start: number, memoryUpTo: (end: number) => Uint8Array) {
    this.start = this.at = this.older = start;
    this.#memoryUpTo = memoryUpTo;
  }

  /** A frame begins; `contentSize`: null when it does not state it. */
  begin(window: number, contentSize: number | null): void {
    this.at = this.older = this.start;
    this.window = window;
    this.made = 0;
    this.#limit = Math.min(window, contentSize ?? window) + BLOCK + 2 * SLACK;
  }

  /** Sees to it that a whole block can be made at `at`. */
  makeRoom(): void {
    const needed = this.at - this.start + BLOCK + SLACK;
    if (needed <= this.#capacity && needed <= this.#limit) return;
    if (needed <= this.#limit) {
      this.#capacity = Math.min(this.#limit, Math.max(needed, 2 * this.#capacity, FIRST_ROOM));
      this.#memoryUpTo(this.start + this.#capacity + SLACK);
      return;
    }
    this.older = this.at;
    this.at = this.start;
  }

  /** `length` bytes were made at `at`. */
  add(length: number): void {
    this.at += length;
    this.made = Math.min(this.window, this.made + length);
  }

  save(): ZstdHistoryState {
    const memory = this.#memoryUpTo(this.at);
    const newer = Math.min(this.made, this.at - this.start);
    const made = new Uint8Array(this.made);
    made.set(memory.subarray(this.older - (this.made - newer), this.older));
    made.set(memory.subarray(this.at - newer, this.at), this.made - newer);
    return { made };
  }

  /** After `begin` with the numbers of the frame that was saved. */
  restore({ made }: ZstdHistoryState): void {
    this.at = this.start + made.length;
    this.made = made.length;
    this.#memoryUpTo(this.at).set(made, this.start);
  }
}
