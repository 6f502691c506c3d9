// Prefix codes of limited length: those of the DEFLATE encoder, and of literals in the Zstandard encoder.

import { MAX_CODE_LENGTH, reverseBits } from "./deflate-format";

const MAX_SYMBOLS: u32 = 288;
const SYMBOL_BITS: u32 = 9;
const SYMBOL_MASK: u32 = (1 << SYMBOL_BITS) - 1;

// Leaves as frequency << 9 | symbol, sorted by the low 16 bits of the frequency, eight bits at a time: a byte that fills
// all of a block makes matches, so no frequency comes near 1 << 16 (and if one did, only the size would suffer).
const LEAVES: usize = memory.data(MAX_SYMBOLS * 4, 16);
const LEAVES_SPARE: usize = memory.data(MAX_SYMBOLS * 4, 16);
const RADIX_COUNTS: usize = memory.data(256 * 4, 16);

// Tree nodes: the sorted leaves first, then the inner nodes in the order in which they are made, also by weight.
const NODE_WEIGHTS: usize = memory.data(MAX_SYMBOLS * 2 * 4, 16);
const NODE_PARENTS: usize = memory.data(MAX_SYMBOLS * 2 * 2, 16);
const NODE_DEPTHS: usize = memory.data(MAX_SYMBOLS * 2 * 2, 16);

const LENGTH_COUNTS: usize = memory.data((MAX_CODE_LENGTH + 1) * 4, 16);
const NEXT_CODES: usize = memory.data((MAX_CODE_LENGTH + 1) * 4, 16);

/**
 * Code lengths (u8 each) for `count` frequencies (u32 each), none above `maxLength`. The code is always complete and has
 * at least two symbols, used or not: every decoder takes it then.
 */
export function makeCodeLengths(frequencies: usize, count: u32, lengths: usize, maxLength: u32): void {
  memory.fill(lengths, 0, count);
  const leaves = collectLeaves(frequencies, count);
  sortByByte(LEAVES, LEAVES_SPARE, leaves, SYMBOL_BITS);
  sortByByte(LEAVES_SPARE, LEAVES, leaves, SYMBOL_BITS + 8);
  buildTree(leaves);
  countLengths(leaves, maxLength);
  // The rarest symbols take the longest codes.
  let leaf = LEAVES;
  for (let length = maxLength; length > 0; length--) {
    const end = leaf + (load<u32>(LENGTH_COUNTS + (length << 2)) << 2);
    for (; leaf < end; leaf += 4) store<u8>(lengths + (load<u32>(leaf) & SYMBOL_MASK), length);
  }
}

/** Codes in stream order with their length, `code << 8 | length` (u32 each), from code lengths (RFC 1951 §3.2.2). */
export function assignCodes(lengths: usize, count: u32, codes: usize): void {
  memory.fill(LENGTH_COUNTS, 0, (MAX_CODE_LENGTH + 1) * 4);
  for (let i: u32 = 0; i < count; i++) add(LENGTH_COUNTS, load<u8>(lengths + i), 1);
  let code: u32 = 0;
  for (let length: u32 = 1; length <= MAX_CODE_LENGTH; length++) {
    store<u32>(NEXT_CODES + (length << 2), code);
    code = (code + load<u32>(LENGTH_COUNTS + (length << 2))) << 1;
  }
  for (let i: u32 = 0; i < count; i++) {
    const length = load<u8>(lengths + i) as u32;
    if (!length) continue;
    store<u32>(codes + (i << 2), (reverseBits(add(NEXT_CODES, length, 1), length) << 8) | length);
  }
}

/** Adds to a counter and returns what it was. */
function add(counters: usize, index: u32, value: u32): u32 {
  const counter = counters + (index << 2);
  const before = load<u32>(counter);
  store<u32>(counter, before + value);
  return before;
}

/** Fills LEAVES with the symbols in use, and with unused ones while there are fewer than two. */
function collectLeaves(frequencies: usize, count: u32): u32 {
  let leaves: u32 = 0;
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const frequency = load<u32>(frequencies + (symbol << 2));
    store<u32>(LEAVES + (leaves << 2), (frequency << SYMBOL_BITS) | symbol);
    leaves += u32(frequency != 0);
  }
  for (let symbol: u32 = 0; leaves < 2; symbol++) {
    if (load<u32>(frequencies + (symbol << 2))) continue;
    store<u32>(LEAVES + (leaves << 2), (1 << SYMBOL_BITS) | symbol);
    leaves++;
  }
  return leaves;
}

function sortByByte(from: usize, to: usize, count: u32, shift: u32): void {
  memory.fill(RADIX_COUNTS, 0, 256 * 4);
  for (let i: u32 = 0; i < count; i++) add(RADIX_COUNTS, (load<u32>(from + (i << 2)) >> shift) & 255, 1);
  let start: u32 = 0;
  for (let value: u32 = 0; value < 256; value++) {
    const slot = RADIX_COUNTS + (value << 2);
    const size = load<u32>(slot);
    store<u32>(slot, start);
    start += size;
  }
  for (let i: u32 = 0; i < count; i++) {
    const leaf = load<u32>(from + (i << 2));
    store<u32>(to + (add(RADIX_COUNTS, (leaf >> shift) & 255, 1) << 2), leaf);
  }
}

/** Huffman's tree with two queues: both leaves and inner nodes come in order of weight, so no heap is needed. */
function buildTree(leaves: u32): void {
  for (let i: u32 = 0; i < leaves; i++) store<u32>(NODE_WEIGHTS + (i << 2), load<u32>(LEAVES + (i << 2)) >> SYMBOL_BITS);
  let leaf: u32 = 0;
  let inner = leaves;
  const nodes: u32 = 2 * leaves - 1;
  for (let node = leaves; node < nodes; node++) {
    let weight: u32 = 0;
    for (let child = 0; child < 2; child++) {
      const takesLeaf = leaf < leaves && (inner == node || load<u32>(NODE_WEIGHTS + (leaf << 2)) <= load<u32>(NODE_WEIGHTS + (inner << 2)));
      const taken = takesLeaf ? leaf++ : inner++;
      weight += load<u32>(NODE_WEIGHTS + (taken << 2));
      store<u16>(NODE_PARENTS + (taken << 1), node);
    }
    store<u32>(NODE_WEIGHTS + (node << 2), weight);
  }
}

/**
 * Number of leaves of every depth, in LENGTH_COUNTS, with depths above the limit brought down to it. That overfills the
 * code space by `excess` codes of the greatest length. Each step frees one of them: a leaf above the limit becomes an
 * inner node, which takes itself and one leaf from the limit as children.
 */
function countLengths(leaves: u32, maxLength: u32): void {
  memory.fill(LENGTH_COUNTS, 0, (MAX_CODE_LENGTH + 1) * 4);
  const root: i32 = 2 * leaves - 2;
  store<u16>(NODE_DEPTHS + (root << 1), 0);
  let excess: i32 = -(1 << maxLength);
  for (let node = root - 1; node >= 0; node--) {
    const parent = load<u16>(NODE_PARENTS + (node << 1)) as usize;
    const depth = (load<u16>(NODE_DEPTHS + (parent << 1)) as u32) + 1;
    store<u16>(NODE_DEPTHS + (node << 1), depth);
    if ((node as u32) >= leaves) continue;
    const length = min(depth, maxLength);
    add(LENGTH_COUNTS, length, 1);
    excess += 1 << (maxLength - length);
  }
  for (; excess > 0; excess--) {
    let length = maxLength - 1;
    while (!load<u32>(LENGTH_COUNTS + (length << 2))) length--;
    add(LENGTH_COUNTS, length, -1);
    add(LENGTH_COUNTS, length + 1, 2);
    add(LENGTH_COUNTS, maxLength, -1);
  }
}
