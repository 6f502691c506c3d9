// RFC 1950 section 8.2.

const BASE: u32 = 65521;
/** Bytes between reductions: the largest multiple of 16 for which the 32-bit sums cannot overflow (zlib's 5552 is one). */
const RUN: usize = 5552;

function sumOfLanes(x: v128): u32 {
  return i32x4.extract_lane(x, 0) + i32x4.extract_lane(x, 1) + i32x4.extract_lane(x, 2) + i32x4.extract_lane(x, 3);
}

/** `seed`: 1, or the checksum of the bytes before. */
export function adler32(ptr: usize, length: usize, seed: u32): u32 {
  let a = seed & 0xffff;
  let b = seed >>> 16;
  const highWeights = i16x8(16, 15, 14, 13, 12, 11, 10, 9);
  const lowWeights = i16x8(8, 7, 6, 5, 4, 3, 2, 1);
  while (length >= 16) {
    const run = length < RUN ? length & ~15 : RUN;
    const end = ptr + run;
    // After n bytes: a += Σ x[i], b += n·a + Σ (n − i)·x[i]; within a step of 16 the weights are 16 … 1, and every
    // earlier step counts 16 times more (`before`).
    let sums = i32x4.splat(0);
    let before = i32x4.splat(0);
    let weighted = i32x4.splat(0);
    while (ptr < end) {
      const bytes = v128.load(ptr);
      before = i32x4.add(before, sums);
      sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(bytes)));
      weighted = i32x4.add(weighted, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(bytes), highWeights));
      weighted = i32x4.add(weighted, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(bytes), lowWeights));
      ptr += 16;
    }
    b = (b + <u32>run * a + 16 * sumOfLanes(before) + sumOfLanes(weighted)) % BASE;
    a = (a + sumOfLanes(sums)) % BASE;
    length -= run;
  }
  while (length > 0) {
    a += load<u8>(ptr);
    b += a;
    ptr++;
    length--;
  }
  return ((b % BASE) << 16) | (a % BASE);
}
