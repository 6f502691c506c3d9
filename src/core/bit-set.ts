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
}
