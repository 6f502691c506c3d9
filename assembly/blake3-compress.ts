// BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn: "BLAKE3: one function, fast everywhere"; section numbers below are its own).
// The compression function. Four run at once, one in each 32-bit lane: four chunks, or four parents. A lone chunk uses lane 0 only.

export const BLOCK: i32 = 64;

// Section 2.2, table 3.
export const CHUNK_START: i32 = 1;
export const CHUNK_END: i32 = 2;
export const PARENT: i32 = 4;
export const ROOT: i32 = 8;

const IV0: i32 = 0x6a09e667;
const IV1: i32 = 0xbb67ae85;
const IV2: i32 = 0x3c6ef372;
const IV3: i32 = 0xa54ff53a;
const IV4: i32 = 0x510e527f;
const IV5: i32 = 0x9b05688c;
const IV6: i32 = 0x1f83d9ab;
const IV7: i32 = 0x5be0cd19;

/** 8 vectors: word i of the four chaining values. */
export const CVS: usize = memory.data(8 * 16, 16);
/** 16 vectors: word i of the four message blocks. */
export const MESSAGE: usize = memory.data(16 * 16, 16);
/** The message permutation (table 2) applied 0 to 6 times, as byte offsets into MESSAGE. */
// biome-ignore format: one row per round
const SCHEDULE: usize = memory.data<u8>([
  0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240,
  32, 96, 48, 160, 112, 0, 64, 208, 16, 176, 192, 80, 144, 224, 240, 128,
  48, 64, 160, 192, 208, 32, 112, 224, 96, 80, 144, 0, 176, 240, 128, 16,
  160, 112, 192, 144, 224, 48, 208, 240, 64, 0, 176, 32, 80, 128, 16, 96,
  192, 208, 144, 176, 240, 160, 224, 128, 112, 32, 80, 48, 0, 16, 96, 64,
  144, 224, 176, 80, 128, 192, 240, 16, 208, 48, 0, 160, 32, 96, 64, 112,
  176, 240, 80, 0, 16, 144, 128, 96, 224, 160, 32, 192, 48, 64, 112, 208,
]);
const ROUNDS: i32 = 7;
function add(a: v128, b: v128): v128 {
  return i32x4.add(a, b);
}
function rotate16(x: v128): v128 {
  return i8x16.shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}
function rotate12(x: v128): v128 {
  return v128.or(i32x4.shr_u(x, 12), i32x4.shl(x, 20));
}
function rotate8(x: v128): v128 {
  return i8x16.shuffle(x, x, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
}
function rotate7(x: v128): v128 {
  return v128.or(i32x4.shr_u(x, 7), i32x4.shl(x, 25));
}
function word(message: usize, schedule: usize, index: usize): v128 {
  return v128.load(message + <usize>load<u8>(schedule + index));
}

/** Section 2.2: CVS = the four compressions of CVS and MESSAGE. The G functions of a column or diagonal run interleaved. */
export function compress(counterLow: v128, counterHigh: v128, length: i32, flags: i32): void {
  let v0 = v128.load(CVS);
  let v1 = v128.load(CVS + 16);
  let v2 = v128.load(CVS + 32);
  let v3 = v128.load(CVS + 48);
  let v4 = v128.load(CVS + 64);
  let v5 = v128.load(CVS + 80);
  let v6 = v128.load(CVS + 96);
  let v7 = v128.load(CVS + 112);
  let v8 = i32x4.splat(IV0);
  let v9 = i32x4.splat(IV1);
  let v10 = i32x4.splat(IV2);
  let v11 = i32x4.splat(IV3);
  let v12 = counterLow;
  let v13 = counterHigh;
  let v14 = i32x4.splat(length);
  let v15 = i32x4.splat(flags);
  const m = MESSAGE;
  let s = SCHEDULE;
  for (let round = 0; round < ROUNDS; round++) {
    v0 = add(add(v0, v4), word(m, s, 0));
    v1 = add(add(v1, v5), word(m, s, 2));
    v2 = add(add(v2, v6), word(m, s, 4));
    v3 = add(add(v3, v7), word(m, s, 6));
    v12 = rotate16(v128.xor(v12, v0));
    v13 = rotate16(v128.xor(v13, v1));
    v14 = rotate16(v128.xor(v14, v2));
    v15 = rotate16(v128.xor(v15, v3));
    v8 = add(v8, v12);
    v9 = add(v9, v13);
    v10 = add(v10, v14);
    v11 = add(v11, v15);
    v4 = rotate12(v128.xor(v4, v8));
    v5 = rotate12(v128.xor(v5, v9));
    v6 = rotate12(v128.xor(v6, v10));
    v7 = rotate12(v128.xor(v7, v11));
    v0 = add(add(v0, v4), word(m, s, 1));
    v1 = add(add(v1, v5), word(m, s, 3));
    v2 = add(add(v2, v6), word(m, s, 5));
    v3 = add(add(v3, v7), word(m, s, 7));
    v12 = rotate8(v128.xor(v12, v0));
    v13 = rotate8(v128.xor(v13, v1));
    v14 = rotate8(v128.xor(v14, v2));
    v15 = rotate8(v128.xor(v15, v3));
    v8 = add(v8, v12);
    v9 = add(v9, v13);
    v10 = add(v10, v14);
    v11 = add(v11, v15);
    v4 = rotate7(v128.xor(v4, v8));
    v5 = rotate7(v128.xor(v5, v9));
    v6 = rotate7(v128.xor(v6, v10));
    v7 = rotate7(v128.xor(v7, v11));
    v0 = add(add(v0, v5), word(m, s, 8));
    v1 = add(add(v1, v6), word(m, s, 10));
    v2 = add(add(v2, v7), word(m, s, 12));
    v3 = add(add(v3, v4), word(m, s, 14));
    v15 = rotate16(v128.xor(v15, v0));
    v12 = rotate16(v128.xor(v12, v1));
    v13 = rotate16(v128.xor(v13, v2));
    v14 = rotate16(v128.xor(v14, v3));
    v10 = add(v10, v15);
    v11 = add(v11, v12);
    v8 = add(v8, v13);
    v9 = add(v9, v14);
    v5 = rotate12(v128.xor(v5, v10));
    v6 = rotate12(v128.xor(v6, v11));
    v7 = rotate12(v128.xor(v7, v8));
    v4 = rotate12(v128.xor(v4, v9));
    v0 = add(add(v0, v5), word(m, s, 9));
    v1 = add(add(v1, v6), word(m, s, 11));
    v2 = add(add(v2, v7), word(m, s, 13));
    v3 = add(add(v3, v4), word(m, s, 15));
    v15 = rotate8(v128.xor(v15, v0));
    v12 = rotate8(v128.xor(v12, v1));
    v13 = rotate8(v128.xor(v13, v2));
    v14 = rotate8(v128.xor(v14, v3));
    v10 = add(v10, v15);
    v11 = add(v11, v12);
    v8 = add(v8, v13);
    v9 = add(v9, v14);
    v5 = rotate7(v128.xor(v5, v10));
    v6 = rotate7(v128.xor(v6, v11));
    v7 = rotate7(v128.xor(v7, v8));
    v4 = rotate7(v128.xor(v4, v9));
    s += 16;
  }
  v128.store(CVS, v128.xor(v0, v8));
  v128.store(CVS + 16, v128.xor(v1, v9));
  v128.store(CVS + 32, v128.xor(v2, v10));
  v128.store(CVS + 48, v128.xor(v3, v11));
  v128.store(CVS + 64, v128.xor(v4, v12));
  v128.store(CVS + 80, v128.xor(v5, v13));
  v128.store(CVS + 96, v128.xor(v6, v14));
  v128.store(CVS + 112, v128.xor(v7, v15));
}

/** Four whole chunks of zeros: `compress` without the message, for all 16 blocks. */
export function compressZeroChunks(counterLow: v128, counterHigh: v128): void {
  let v0 = i32x4.splat(IV0);
  let v1 = i32x4.splat(IV1);
  let v2 = i32x4.splat(IV2);
  let v3 = i32x4.splat(IV3);
  let v4 = i32x4.splat(IV4);
  let v5 = i32x4.splat(IV5);
  let v6 = i32x4.splat(IV6);
  let v7 = i32x4.splat(IV7);
  for (let block = 0; block < 16; block++) {
    let v8 = i32x4.splat(IV0);
    let v9 = i32x4.splat(IV1);
    let v10 = i32x4.splat(IV2);
    let v11 = i32x4.splat(IV3);
    let v12 = counterLow;
    let v13 = counterHigh;
    let v14 = i32x4.splat(BLOCK);
    let v15 = i32x4.splat(block === 0 ? CHUNK_START : block === 15 ? CHUNK_END : 0);
    for (let round = 0; round < ROUNDS; round++) {
      v0 = add(v0, v4);
      v1 = add(v1, v5);
      v2 = add(v2, v6);
      v3 = add(v3, v7);
      v12 = rotate16(v128.xor(v12, v0));
      v13 = rotate16(v128.xor(v13, v1));
      v14 = rotate16(v128.xor(v14, v2));
      v15 = rotate16(v128.xor(v15, v3));
      v8 = add(v8, v12);
      v9 = add(v9, v13);
      v10 = add(v10, v14);
      v11 = add(v11, v15);
      v4 = rotate12(v128.xor(v4, v8));
      v5 = rotate12(v128.xor(v5, v9));
      v6 = rotate12(v128.xor(v6, v10));
      v7 = rotate12(v128.xor(v7, v11));
      v0 = add(v0, v4);
      v1 = add(v1, v5);
      v2 = add(v2, v6);
      v3 = add(v3, v7);
      v12 = rotate8(v128.xor(v12, v0));
      v13 = rotate8(v128.xor(v13, v1));
      v14 = rotate8(v128.xor(v14, v2));
      v15 = rotate8(v128.xor(v15, v3));
      v8 = add(v8, v12);
      v9 = add(v9, v13);
      v10 = add(v10, v14);
      v11 = add(v11, v15);
      v4 = rotate7(v128.xor(v4, v8));
      v5 = rotate7(v128.xor(v5, v9));
      v6 = rotate7(v128.xor(v6, v10));
      v7 = rotate7(v128.xor(v7, v11));
      v0 = add(v0, v5);
      v1 = add(v1, v6);
      v2 = add(v2, v7);
      v3 = add(v3, v4);
      v15 = rotate16(v128.xor(v15, v0));
      v12 = rotate16(v128.xor(v12, v1));
      v13 = rotate16(v128.xor(v13, v2));
      v14 = rotate16(v128.xor(v14, v3));
      v10 = add(v10, v15);
      v11 = add(v11, v12);
      v8 = add(v8, v13);
      v9 = add(v9, v14);
      v5 = rotate12(v128.xor(v5, v10));
      v6 = rotate12(v128.xor(v6, v11));
      v7 = rotate12(v128.xor(v7, v8));
      v4 = rotate12(v128.xor(v4, v9));
      v0 = add(v0, v5);
      v1 = add(v1, v6);
      v2 = add(v2, v7);
      v3 = add(v3, v4);
      v15 = rotate8(v128.xor(v15, v0));
      v12 = rotate8(v128.xor(v12, v1));
      v13 = rotate8(v128.xor(v13, v2));
      v14 = rotate8(v128.xor(v14, v3));
      v10 = add(v10, v15);
      v11 = add(v11, v12);
      v8 = add(v8, v13);
      v9 = add(v9, v14);
      v5 = rotate7(v128.xor(v5, v10));
      v6 = rotate7(v128.xor(v6, v11));
      v7 = rotate7(v128.xor(v7, v8));
      v4 = rotate7(v128.xor(v4, v9));
    }
    v0 = v128.xor(v0, v8);
    v1 = v128.xor(v1, v9);
    v2 = v128.xor(v2, v10);
    v3 = v128.xor(v3, v11);
    v4 = v128.xor(v4, v12);
    v5 = v128.xor(v5, v13);
    v6 = v128.xor(v6, v14);
    v7 = v128.xor(v7, v15);
  }
  v128.store(CVS, v0);
  v128.store(CVS + 16, v1);
  v128.store(CVS + 32, v2);
  v128.store(CVS + 48, v3);
  v128.store(CVS + 64, v4);
  v128.store(CVS + 80, v5);
  v128.store(CVS + 96, v6);
  v128.store(CVS + 112, v7);
}

/** CVS = the key words, in all lanes. */
export function startCvs(): void {
  v128.store(CVS, i32x4.splat(IV0));
  v128.store(CVS + 16, i32x4.splat(IV1));
  v128.store(CVS + 32, i32x4.splat(IV2));
  v128.store(CVS + 48, i32x4.splat(IV3));
  v128.store(CVS + 64, i32x4.splat(IV4));
  v128.store(CVS + 80, i32x4.splat(IV5));
  v128.store(CVS + 96, i32x4.splat(IV6));
  v128.store(CVS + 112, i32x4.splat(IV7));
}
