// The CRC-32 (IEEE 802.3, reflected) of long or repeated bytes from the CRCs of their pieces, in time that grows with the logarithm of the length.

const POLYNOMIAL = 0xedb88320;

type Matrix = Uint32Array;

const times = (matrix: Matrix, vector: number): number => {
  let sum = 0;
  for (let i = 0; vector !== 0; vector >>>= 1, i++) if ((vector & 1) !== 0) sum ^= matrix[i] as number;
  return sum >>> 0;
};
const square = (matrix: Matrix): Matrix => Uint32Array.from(matrix, (column) => times(matrix, column));

/** What one zero bit makes of a CRC-32's state, as a matrix over GF(2). */
const ONE_BIT: Matrix = Uint32Array.from({ length: 32 }, (_, i) => (i === 0 ? POLYNOMIAL : 1 << (i - 1)));

/**
 * CRC-32 of two pieces from the CRCs of each: `first` is carried over `secondLength` bytes of zeros, a linear map whose powers are
 * taken by squaring, and `second` added.
 */
export function combineCrc32(first: number, second: number, secondLength: number): number {
  let power = square(square(square(ONE_BIT)));
  for (let rest = secondLength; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) first = times(power, first);
    if (rest > 1) power = square(power);
  }
  return (first ^ second) >>> 0;
}

/** CRC-32 of `count` pieces of `length` bytes one behind the other, each of which has the CRC `piece`. */
export function repeatCrc32(piece: number, length: number, count: number): number {
  let sum = 0;
  let [power, powerLength] = [piece, length];
  for (let rest = count; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) sum = combineCrc32(sum, power, powerLength);
    if (rest > 1) power = combineCrc32(power, power, powerLength);
    powerLength *= 2;
  }
  return sum;
}
