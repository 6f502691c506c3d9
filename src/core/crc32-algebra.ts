// The CRC-32 (IEEE 802.3, reflected) of long or repeated bytes from the CRCs of their pieces, in time that grows with the logarithm of the length.

const POLYNOMIAL = 0xedb88320;
/** x^0 and x^8, reflected: the highest bit is x^0. */
const ONE = 0x80000000;
const BYTE = 0x00800000;

/** Product of two polynomials modulo the CRC's; both are reflected. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= b;
    b = (b & 1) !== 0 ? (b >>> 1) ^ POLYNOMIAL : b >>> 1;
  }
  return product >>> 0;
}

/** What so many bytes of zeros multiply a CRC's state with: x^8 to the power of `length`. */
function powerOfBytes(length: number): number {
  let power = ONE;
  let square = BYTE;
  for (let rest = length; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(power, square);
    square = multiply(square, square);
  }
  return power;
}

/** CRC-32 of two pieces from the CRCs of each: `first` is carried over `secondLength` bytes of zeros, and `second` added. */
export function combineCrc32(first: number, second: number, secondLength: number): number {
  return (multiply(powerOfBytes(secondLength), first) ^ second) >>> 0;
}

/** CRC-32 of what had `crc` and `length` zero bytes behind it. */
export function crc32AfterZeros(crc: number, length: number): number {
  return ~multiply(powerOfBytes(length), ~crc) >>> 0;
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
