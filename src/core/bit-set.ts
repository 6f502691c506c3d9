import type { Range } from "./model.ts";

const PAGE_BITS = 1 << 16;

/** A set of small numbers that costs one bit each, and nothing where it is empty. */
export class BitSet {
  private readonly pages = new Map<number, Uint8Array>();

  has(bit: number): boolean {
    const page = this.pages.get(Math.floor(bit / PAGE_BITS));
    return page !== undefined && ((page[(bit % PAGE_BITS) >> 3] as number) & (1 << (bit & 7))) !== 0;
  }

  /** False when it was in the set already. */
  add(bit: number): boolean {
    const number = Math.floor(bit / PAGE_BITS);
    let page = this.pages.get(number);
    if (page === undefined) {
      page = new Uint8Array(PAGE_BITS / 8);
      this.pages.set(number, page);
    }
    const place = (bit % PAGE_BITS) >> 3;
    const mask = 1 << (bit & 7);
    const before = page[place] as number;
    page[place] = before | mask;
    return (before & mask) === 0;
  }

  /** The runs of numbers that are in the set, ascending. */
  *runs(): Generator<Range> {
    let start = 0;
    for (const gap of this.gaps(Number.POSITIVE_INFINITY)) {
      if (gap.start > start) yield { start, length: gap.start - start };
      start = gap.start + gap.length;
    }
  }

  /** The runs of numbers from 0 to below `end` that are not in the set, ascending. Time follows what was added, not `end`. */
  *gaps(end: number): Generator<Range> {
    let start = 0;
    const close = (at: number): Range[] => (at > start ? [{ start, length: at - start }] : []);
    for (const number of [...this.pages.keys()].sort((a, b) => a - b)) {
      const page = this.pages.get(number) as Uint8Array;
      const first = number * PAGE_BITS;
      for (let bit = 0; bit < PAGE_BITS && first + bit < end; bit++) {
        if (((page[bit >> 3] as number) & (1 << (bit & 7))) === 0) continue;
        yield* close(first + bit);
        start = first + bit + 1;
      }
    }
    yield* close(end);
  }
}
