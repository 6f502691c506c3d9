/** Ranges kept at most; what follows in the file is one range. */
const MOST_RANGES = 4 << 20;
const MOST_OVERLAPS = 64;

/** Sector ranges of one file, to find those that overlap. Ranges added in file order cost nothing. */
export class SharedPlaces {
  #ranges = new BigUint64Array(1024);
  #count = 0;
  #start = 0;
  #end = 0;
  isComplete = true;

  add(sector: number, length: number): void {
    if (sector === this.#end && this.#end > 0) {
      this.#end += length;
      return;
    }
    this.#flush();
    this.#start = sector;
    this.#end = sector + length;
  }

  #flush(): void {
    if (this.#end === 0) return;
    if (this.#count === MOST_RANGES) {
      this.isComplete = false;
      return;
    }
    if (this.#count === this.#ranges.length) {
      const larger = new BigUint64Array(this.#count * 2);
      larger.set(this.#ranges);
      this.#ranges = larger;
    }
    this.#ranges[this.#count++] = (BigInt(this.#start) << 32n) | BigInt(this.#end - this.#start);
  }

  /** Sector ranges that were added more than once, ascending; the first few. Ends the collection. */
  overlaps(): readonly (readonly [start: number, end: number])[] {
    this.#flush();
    this.#end = 0;
    const sorted = this.#ranges.subarray(0, this.#count).sort();
    const found: [number, number][] = [];
    let reach = 0;
    for (const range of sorted) {
      const start = Number(range >> 32n);
      const end = start + Number(range & 0xffff_ffffn);
      if (start < reach && found.length < MOST_OVERLAPS) found.push([start, Math.min(end, reach)]);
      reach = Math.max(reach, end);
    }
    return found;
  }
}
