import type { Filter } from "./xz-headers.ts";
import { FILTER_BYTES, FILTER_FRONT, type XzKernel } from "./xz-kernel.ts";

export interface FilterState {
  /** Bytes that each filter holds back until there are more behind them. */
  readonly tails: readonly Uint8Array[];
  /** Of the first byte that the filter will see next. */
  readonly positions: readonly number[];
  /** Bytes that are through and wait to be given. */
  readonly ready: Uint8Array;
}

/** The filters of a block, undone one after another, the encoder's last one first. */
export class XzFilters {
  readonly #kernel: XzKernel;
  #filters: readonly Filter[] = [];
  #tails: Uint8Array[] = [];
  #positions: number[] = [];
  #ready = 0;
  #place = 0;

  constructor(kernel: XzKernel) {
    this.#kernel = kernel;
  }

  get active(): boolean {
    return this.#filters.length > 0;
  }
  /** Most bytes for one `run`. */
  get room(): number {
    return FILTER_BYTES - FILTER_FRONT;
  }
  /** Bytes that wait to be given. */
  get ready(): number {
    return this.#ready;
  }

  start(filters: readonly Filter[]): void {
    this.#filters = [...filters].reverse();
    this.#tails = this.#filters.map(() => new Uint8Array(0));
    this.#positions = this.#filters.map(({ position }) => position);
    this.#ready = 0;
    for (let slot = 0; slot < filters.length; slot++) this.#kernel.exports.filterStart(slot);
  }

  /** `length` bytes at `place` in the kernel's memory go through. Only when nothing is ready. `last`: none follow. */
  run(place: number, length: number, last: boolean): { readonly place: number; readonly length: number } {
    const { memory, filtered, exports } = this.#kernel;
    memory.copyWithin(filtered, place, place + length);
    let from = filtered;
    let end = filtered + length;
    this.#filters.forEach(({ id, distance }, slot) => {
      const tail = this.#tails[slot] as Uint8Array;
      from -= tail.length;
      memory.set(tail, from);
      const position = this.#positions[slot] as number;
      const through = exports.filterRun(id, slot, from, end - from, position, distance);
      const done = last ? end - from : through;
      this.#positions[slot] = (position + done) >>> 0;
      this.#tails[slot] = memory.slice(from + done, end);
      end = from + done;
    });
    this.#place = from;
    this.#ready = end - from;
    return { place: from, length: end - from };
  }

  give(output: Uint8Array): number {
    const length = Math.min(output.length, this.#ready);
    output.set(this.#kernel.memory.subarray(this.#place, this.#place + length));
    this.#place += length;
    this.#ready -= length;
    return length;
  }

  save(): FilterState {
    const ready = this.#kernel.memory.slice(this.#place, this.#place + this.#ready);
    return { tails: [...this.#tails], positions: [...this.#positions], ready };
  }

  /** The kernel's own state is restored after this. */
  restore(state: FilterState, filters: readonly Filter[]): void {
    this.start(filters);
    this.#tails = [...state.tails];
    this.#positions = [...state.positions];
    this.#kernel.memory.set(state.ready, this.#kernel.filtered);
    this.#place = this.#kernel.filtered;
    this.#ready = state.ready.length;
  }
}
