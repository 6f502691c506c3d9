import type { Range } from "../../core/model.ts";

/** Places are kept in steps of this many bytes: coarse enough to stay small, fine enough to skip holes. */
const STEP = 64 << 10;

/** Where a file was written, rounded out to whole steps: one bit per step, in pages that exist only where something was written. */
export class WrittenRanges {
  readonly #pages = new Map<number, Uint8Array>();
  #total = 0;

  /** Bytes of all steps that were touched. */
  get total(): number {
    return this.#total;
  }

  add(at: number, length: number): void {
    for (let step = Math.floor(at / STEP); step * STEP < at + length; step++) {
      const index = Math.floor(step / PAGE_STEPS);
      let page = this.#pages.get(index);
      if (page === undefined) {
        page = new Uint8Array(PAGE_STEPS / 8);
        this.#pages.set(index, page);
      }
      if (has(page, step)) continue;
      const bit = step % PAGE_STEPS;
      page[bit >> 3] = (page[bit >> 3] as number) | (1 << (bit & 7));
      this.#total += STEP;
    }
  }

  /** The touched steps inside a range, joined and cut to it, ascending. */
  *within(at: number, length: number): Generator<Range> {
    const end = at + length;
    let start = -1;
    for (let step = Math.floor(at / STEP); step * STEP < end; step++) {
      const page = this.#pages.get(Math.floor(step / PAGE_STEPS));
      const touched = page !== undefined && has(page, step);
      if (touched && start < 0) start = Math.max(at, step * STEP);
      if (!touched && start >= 0) {
        yield { start, length: step * STEP - start };
        start = -1;
      }
      if (page === undefined) step += PAGE_STEPS - 1 - (step % PAGE_STEPS);
    }
    if (start >= 0) yield { start, length: end - start };
  }
}

const PAGE_STEPS = 4096;

const has = (page: Uint8Array, step: number): boolean => {
  const bit = step % PAGE_STEPS;
  return (((page[bit >> 3] as number) >> (bit & 7)) & 1) === 1;
};
