// SHA-256 (FIPS 180-4). The caller's state is the 8 words H, 32 bytes, in native order.

import { BLOCK, LAST_BLOCKS, padMessage, storeDigest } from "./sha-padding";

// Section 4.2.2.
const K: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
  0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
  0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
  0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
  0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
/** The message schedule of one block. */
const SCHEDULE: usize = memory.data(64 * 4, 16);

/** Section 5.3.3. */
export function sha256Init(state: usize): void {
  store<u32>(state, 0x6a09e667);
  store<u32>(state, 0xbb67ae85, 4);
  store<u32>(state, 0x3c6ef372, 8);
  store<u32>(state, 0xa54ff53a, 12);
  store<u32>(state, 0x510e527f, 16);
  store<u32>(state, 0x9b05688c, 20);
  store<u32>(state, 0x1f83d9ab, 24);
  store<u32>(state, 0x5be0cd19, 28);
}

/** Section 6.2.2, step 1. */
function fillSchedule(ptr: usize): void {
  for (let at: usize = 0; at < 64; at += 4) store<u32>(SCHEDULE + at, bswap(load<u32>(ptr + at)));
  for (let at: usize = SCHEDULE; at < SCHEDULE + 48 * 4; at += 4) {
    const w1 = load<u32>(at, 4);
    const w14 = load<u32>(at, 56);
    const small0 = rotr(w1, 7) ^ rotr(w1, 18) ^ (w1 >>> 3);
    const small1 = rotr(w14, 17) ^ rotr(w14, 19) ^ (w14 >>> 10);
    store<u32>(at, load<u32>(at) + small0 + load<u32>(at, 36) + small1, 64);
  }
}

/** T1 = h + Σ1(e) + Ch(e, f, g) + K + W, added in the order in which the terms become known. */
function t1(at: usize, e: u32, f: u32, g: u32, h: u32): u32 {
  const known = h + (load<u32>(K + at) + load<u32>(SCHEDULE + at));
  return known + (g ^ (e & (f ^ g))) + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25));
}
/** T2 = Σ0(a) + Maj(a, b, c). */
function t2(a: u32, b: u32, c: u32): u32 {
  const sum = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
  return sum + ((a & b) | (c & (a | b)));
}

/** `blocks` whole blocks of 64 bytes. */
export function sha256Update(state: usize, ptr: usize, blocks: i32): void {
  while (blocks > 0) {
    fillSchedule(ptr);
    let a = load<u32>(state);
    let b = load<u32>(state, 4);
    let c = load<u32>(state, 8);
    let d = load<u32>(state, 12);
    let e = load<u32>(state, 16);
    let f = load<u32>(state, 20);
    let g = load<u32>(state, 24);
    let h = load<u32>(state, 28);
    // Eight rounds a turn, so that the variables rotate by name and not by copy.
    for (let at: usize = 0; at < 256; at += 32) {
      h = t1(at, e, f, g, h);
      d += h;
      h += t2(a, b, c);
      g = t1(at + 4, d, e, f, g);
      c += g;
      g += t2(h, a, b);
      f = t1(at + 8, c, d, e, f);
      b += f;
      f += t2(g, h, a);
      e = t1(at + 12, b, c, d, e);
      a += e;
      e += t2(f, g, h);
      d = t1(at + 16, a, b, c, d);
      h += d;
      d += t2(e, f, g);
      c = t1(at + 20, h, a, b, c);
      g += c;
      c += t2(d, e, f);
      b = t1(at + 24, g, h, a, b);
      f += b;
      b += t2(c, d, e);
      a = t1(at + 28, f, g, h, a);
      e += a;
      a += t2(b, c, d);
    }
    store<u32>(state, load<u32>(state) + a);
    store<u32>(state, load<u32>(state, 4) + b, 4);
    store<u32>(state, load<u32>(state, 8) + c, 8);
    store<u32>(state, load<u32>(state, 12) + d, 12);
    store<u32>(state, load<u32>(state, 16) + e, 16);
    store<u32>(state, load<u32>(state, 20) + f, 20);
    store<u32>(state, load<u32>(state, 24) + g, 24);
    store<u32>(state, load<u32>(state, 28) + h, 28);
    ptr += BLOCK;
    blocks--;
  }
}

/** The last `length` (0 to 63) bytes of a message of `total` bytes, padded; the digest → `out`, 32 bytes. */
export function sha256Final(state: usize, ptr: usize, length: usize, total: f64, out: usize): void {
  const blocks = padMessage(ptr, length, total);
  sha256Update(state, LAST_BLOCKS, blocks);
  storeDigest(state, 32, out);
}
