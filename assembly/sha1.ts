// SHA-1 (FIPS 180-4). The caller's state is the 5 words H, 20 bytes, in native order.

import { BLOCK, LAST_BLOCKS, padMessage, storeDigest } from "./sha-padding";

// Section 4.2.1.
const K0: u32 = 0x5a827999;
const K1: u32 = 0x6ed9eba1;
const K2: u32 = 0x8f1bbcdc;
const K3: u32 = 0xca62c1d6;

/** The message schedule of one block. */
const SCHEDULE: usize = memory.data(80 * 4, 16);

/** Section 5.3.1. */
export function sha1Init(state: usize): void {
  store<u32>(state, 0x67452301);
  store<u32>(state, 0xefcdab89, 4);
  store<u32>(state, 0x98badcfe, 8);
  store<u32>(state, 0x10325476, 12);
  store<u32>(state, 0xc3d2e1f0, 16);
}

/** Section 6.1.2, step 1. */
function fillSchedule(ptr: usize): void {
  for (let at: usize = 0; at < 64; at += 4) store<u32>(SCHEDULE + at, bswap(load<u32>(ptr + at)));
  for (let at: usize = SCHEDULE; at < SCHEDULE + 64 * 4; at += 4) {
    store<u32>(at, rotl<u32>(load<u32>(at, 52) ^ load<u32>(at, 32) ^ load<u32>(at, 8) ^ load<u32>(at), 1), 64);
  }
}

// Section 4.1.1.
function choose(b: u32, c: u32, d: u32): u32 {
  return d ^ (b & (c ^ d));
}
function parity(b: u32, c: u32, d: u32): u32 {
  return b ^ c ^ d;
}
function majority(b: u32, c: u32, d: u32): u32 {
  return (b & c) | (d & (b | c));
}

/** What the rotated a is added to in one round. */
function term(at: usize, f: u32, e: u32, k: u32): u32 {
  return load<u32>(SCHEDULE + at) + e + k + f;
}

/** `blocks` whole blocks of 64 bytes. */
export function sha1Update(state: usize, ptr: usize, blocks: i32): void {
  while (blocks > 0) {
    fillSchedule(ptr);
    let a = load<u32>(state);
    let b = load<u32>(state, 4);
    let c = load<u32>(state, 8);
    let d = load<u32>(state, 12);
    let e = load<u32>(state, 16);
    // Five rounds a turn, so that the variables rotate by name and not by copy.
    for (let at: usize = 0; at < 80; at += 20) {
      e = term(at, choose(b, c, d), e, K0) + rotl<u32>(a, 5);
      b = rotl<u32>(b, 30);
      d = term(at + 4, choose(a, b, c), d, K0) + rotl<u32>(e, 5);
      a = rotl<u32>(a, 30);
      c = term(at + 8, choose(e, a, b), c, K0) + rotl<u32>(d, 5);
      e = rotl<u32>(e, 30);
      b = term(at + 12, choose(d, e, a), b, K0) + rotl<u32>(c, 5);
      d = rotl<u32>(d, 30);
      a = term(at + 16, choose(c, d, e), a, K0) + rotl<u32>(b, 5);
      c = rotl<u32>(c, 30);
    }
    for (let at: usize = 80; at < 160; at += 20) {
      e = term(at, parity(b, c, d), e, K1) + rotl<u32>(a, 5);
      b = rotl<u32>(b, 30);
      d = term(at + 4, parity(a, b, c), d, K1) + rotl<u32>(e, 5);
      a = rotl<u32>(a, 30);
      c = term(at + 8, parity(e, a, b), c, K1) + rotl<u32>(d, 5);
      e = rotl<u32>(e, 30);
      b = term(at + 12, parity(d, e, a), b, K1) + rotl<u32>(c, 5);
      d = rotl<u32>(d, 30);
      a = term(at + 16, parity(c, d, e), a, K1) + rotl<u32>(b, 5);
      c = rotl<u32>(c, 30);
    }
    for (let at: usize = 160; at < 240; at += 20) {
      e = term(at, majority(b, c, d), e, K2) + rotl<u32>(a, 5);
      b = rotl<u32>(b, 30);
      d = term(at + 4, majority(a, b, c), d, K2) + rotl<u32>(e, 5);
      a = rotl<u32>(a, 30);
      c = term(at + 8, majority(e, a, b), c, K2) + rotl<u32>(d, 5);
      e = rotl<u32>(e, 30);
      b = term(at + 12, majority(d, e, a), b, K2) + rotl<u32>(c, 5);
      d = rotl<u32>(d, 30);
      a = term(at + 16, majority(c, d, e), a, K2) + rotl<u32>(b, 5);
      c = rotl<u32>(c, 30);
    }
    for (let at: usize = 240; at < 320; at += 20) {
      e = term(at, parity(b, c, d), e, K3) + rotl<u32>(a, 5);
      b = rotl<u32>(b, 30);
      d = term(at + 4, parity(a, b, c), d, K3) + rotl<u32>(e, 5);
      a = rotl<u32>(a, 30);
      c = term(at + 8, parity(e, a, b), c, K3) + rotl<u32>(d, 5);
      e = rotl<u32>(e, 30);
      b = term(at + 12, parity(d, e, a), b, K3) + rotl<u32>(c, 5);
      d = rotl<u32>(d, 30);
      a = term(at + 16, parity(c, d, e), a, K3) + rotl<u32>(b, 5);
      c = rotl<u32>(c, 30);
    }
    store<u32>(state, load<u32>(state) + a);
    store<u32>(state, load<u32>(state, 4) + b, 4);
    store<u32>(state, load<u32>(state, 8) + c, 8);
    store<u32>(state, load<u32>(state, 12) + d, 12);
    store<u32>(state, load<u32>(state, 16) + e, 16);
    ptr += BLOCK;
    blocks--;
  }
}

/** The last `length` (0 to 63) bytes of a message of `total` bytes, padded; the digest → `out`, 20 bytes. */
export function sha1Final(state: usize, ptr: usize, length: usize, total: f64, out: usize): void {
  const blocks = padMessage(ptr, length, total);
  sha1Update(state, LAST_BLOCKS, blocks);
  storeDigest(state, 20, out);
}
