/** How many of `count` things, in order, come before the first for which `isBefore` is false; it is true for a first part of them only. */
export function countBefore(count: number, isBefore: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the first of the ascending values that is at least `value`; their number when none is. */
export const firstAtLeast = (ascending: ArrayLike<number>, value: number): number =>
  countBefore(ascending.length, (i) => (ascending[i] as number) < value);

/** Index of the first of the ascending values that is above `limit`; their number when none is. */
export const firstAbove = (ascending: ArrayLike<number>, limit: number): number =>
  countBefore(ascending.length, (i) => (ascending[i] as number) <= limit);
