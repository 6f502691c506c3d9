/** CRC-32 (IEEE 802.3), reflected. */
const POLYNOMIAL = 0xedb88320;
/** x^0 and x^8, reflected. */
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

/** The CRC-32 of what had `crc` and `length` zero bytes behind it, in time that grows with the logarithm of `length`. */
export function crc32AfterZeros(crc: number, length: number): number {
  let power = ONE;
  let square = BYTE;
  for (let rest = length; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = multiply(power, square);
    square = multiply(square, square);
  }
  return ~multiply(power, ~crc >>> 0) >>> 0;
}
