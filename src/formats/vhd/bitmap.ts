/** A stretch of sectors whose bits are alike. */
export interface BitRun {
  /** First sector, counted from the block's. */
  readonly first: number;
  readonly count: number;
  readonly isSet: boolean;
}

/** Sector `i` of a block is bit 7 - i % 8 of byte i / 8 of its bitmap. [MS-VHD] Data Block */
const isSet = (bitmap: Uint8Array, sector: number): boolean => ((bitmap[sector >> 3] as number) & (0x80 >> (sector & 7))) !== 0;

/** The runs of like bits for sectors `from` to `to` of a block, in order, without gaps. */
export function* bitRuns(bitmap: Uint8Array, from: number, to: number): Generator<BitRun> {
  for (let first = from; first < to; ) {
    const value = isSet(bitmap, first);
    const whole = value ? 0xff : 0;
    let next = first + 1;
    while (next < to && ((next & 7) === 0 && bitmap[next >> 3] === whole ? true : isSet(bitmap, next) === value))
      next += (next & 7) === 0 && bitmap[next >> 3] === whole ? 8 : 1;
    next = Math.min(next, to);
    yield { first, count: next - first, isSet: value };
    first = next;
  }
}
