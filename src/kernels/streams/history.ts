export interface HistoryState {
  readonly made: Uint8Array;
  /** How many of the bytes at the end of `made` matches may reach. */
  readonly reach: number;
}

/** The end of what a decoder has made, in its memory, with room for more behind it. Matches reach back into it. */
export class History {
  /** Places in the memory: of the first byte that a match may reach, and of the next byte to be made. */
  first: number;
  at: number;
  readonly #memory: Uint8Array;
  readonly #place: number;
  readonly #window: number;
  readonly #end: number;

  /** From `place` on, `window` + `chunk` bytes. Matches reach back `window` bytes at most. */
  constructor(memory: Uint8Array, place: number, window: number, chunk: number) {
    this.#memory = memory;
    this.#place = place;
    this.#window = window;
    this.#end = place + window + chunk;
    this.first = this.at = place;
  }

  /** Nothing was made yet. */
  clear(): void {
    this.first = this.at = this.#place;
  }

  /** Moves it all to the front if there is no room for `room` (at most a chunk) bytes more. */
  makeRoom(room: number): void {
    if (this.at + room <= this.#end) return;
    const from = this.at - this.#window;
    this.#memory.copyWithin(this.#place, from, this.at);
    this.first = Math.max(this.#place, this.first - (from - this.#place));
    this.at = this.#place + this.#window;
  }

  save(): HistoryState {
    const from = Math.max(this.#place, this.at - this.#window);
    return { made: this.#memory.slice(from, this.at), reach: this.at - Math.max(from, this.first) };
  }

  restore({ made, reach }: HistoryState): void {
    this.#memory.set(made, this.#place);
    this.at = this.#place + made.length;
    this.first = this.at - reach;
  }
}
