/** Ranges kept at most; what follows in the file is one range. */
const MOST_RANGES = 4 << 20;
const MOST_OVERLAPS = 64;
const MOST_GAPS = 1000;
/** A range is kept as one number: its start, whether it is metadata, its length. */
const LENGTH_BITS = 20n;
const MOST_LENGTH = 2 ** Number(LENGTH_BITS) - 1;
const METADATA = 1n << LENGTH_BITS;

/**
 * Sector ranges of one file, to find grains that overlap and what lies between all ranges. Ranges added in file order cost nothing.
 * Metadata only fills gaps: that nothing lies on top of it is checked where it is read.
 */
export class UsedPlaces {
  #ranges = new BigUint64Array(1024);
  #count = 0;
  #start = 0;
  #end = 0;
  isComplete = true;

  addGrain(sector: number, length: number): void {
    if (sector === this.#end && this.#end > 0) {
      this.#end += length;
      return;
    }
    this.#flush();
    this.#start = sector;
    this.#end = sector + length;
  }

  addMetadata(sector: number, length: number): void {
    for (let at = sector; at < sector + length; at += MOST_LENGTH) this.#keep(at, Math.min(MOST_LENGTH, sector + length - at), METADATA);
  }

  #flush(): void {
    for (let at = this.#start; at < this.#end; at += MOST_LENGTH) this.#keep(at, Math.min(MOST_LENGTH, this.#end - at), 0n);
    this.#start = this.#end = 0;
  }

  #keep(start: number, length: number, kind: bigint): void {
    if (this.#count === MOST_RANGES) {
      this.isComplete = false;
      return;
    }
    if (this.#count === this.#ranges.length) {
      const larger = new BigUint64Array(this.#count * 2);
      larger.set(this.#ranges);
      this.#ranges = larger;
    }
    this.#ranges[this.#count++] = (BigInt(start) << (LENGTH_BITS + 1n)) | kind | BigInt(length);
  }

  /**
   * What grains were added over others, and what between `from` and `to` was never added and has room for a `unit`; the first few of
   * either. `units`: how many units all such gaps have room for. Ends the collection.
   */
  review(from: number, to: number, unit: number): Review {
    this.#flush();
    const sorted = this.#ranges.subarray(0, this.#count).sort();
    const overlaps: SectorRange[] = [];
    const gaps: SectorRange[] = [];
    let units = 0;
    let grainsEnd = 0;
    let reach = from;
    const addGap = (end: number): void => {
      const room = Math.floor((end - reach) / unit);
      if (room <= 0 || !this.isComplete) return;
      units += room;
      if (gaps.length < MOST_GAPS) gaps.push([reach, end]);
    };
    for (const range of sorted) {
      const start = Number(range >> (LENGTH_BITS + 1n));
      const end = start + Number(range & BigInt(MOST_LENGTH));
      if ((range & METADATA) === 0n) {
        if (start < grainsEnd && overlaps.length < MOST_OVERLAPS) overlaps.push([start, Math.min(end, grainsEnd)]);
        grainsEnd = Math.max(grainsEnd, end);
      }
      addGap(Math.min(start, to));
      reach = Math.max(reach, end);
    }
    addGap(to);
    return { overlaps, gaps, units };
  }
}

export type SectorRange = readonly [start: number, end: number];
export interface Review {
  readonly overlaps: readonly SectorRange[];
  readonly gaps: readonly SectorRange[];
  readonly units: number;
}
