// Blocks of the DEFLATE encoder: the matches of a stretch of the source are found chunk by chunk, each with counts of its own, and
// then neighbouring chunks are joined where one set of codes is expected to be smaller than two. Counts add up, so every way to cut
// the stretch is priced (by the entropy of its counts) and the cheapest taken.

import { END_OF_BLOCK } from "./deflate-format";
import { CHUNK_SEQUENCES, COUNTS_BYTES, DISTANCE_COUNTS, findMatches, lastSequence, SEQUENCE_BYTES } from "./deflate-matches";

const CHUNKS: u32 = 8;

// Where each chunk and its sequences begin, and after the last one where it ends.
const CHUNK_STARTS: usize = memory.data((CHUNKS + 1) * 4, 16);
const SEQUENCE_STARTS: usize = memory.data((CHUNKS + 1) * 4, 16);
const SEQUENCES: usize = memory.data(CHUNKS * CHUNK_SEQUENCES * (SEQUENCE_BYTES as u32), 16);
const COUNTS: usize = memory.data(CHUNKS * COUNTS_BYTES, 16);

// By the chunk that a block begins with: the chunk after the cheapest block, and the cost in bits from there to the end (f32).
const BLOCK_ENDS: usize = memory.data(CHUNKS, 16);
const COSTS: usize = memory.data((CHUNKS + 1) * 4, 16);
const SUM: usize = memory.data(COUNTS_BYTES, 16);

/** The counts of the block that openBlock has opened. */
export const LITERAL_FREQUENCIES: usize = memory.data(COUNTS_BYTES, 16);
export const DISTANCE_FREQUENCIES: usize = LITERAL_FREQUENCIES + DISTANCE_COUNTS;

// What a block costs besides its symbols, in bits: its header, of which about three bits are for each symbol in use.
const BLOCK_COST: f32 = 160;
const SYMBOL_COST: f32 = 3;

/** Finds the matches from `start` on, as far as the chunks reach, and chooses the blocks. Returns the number of chunks. */
export function planBlocks(start: usize, end: usize): u32 {
  store<usize>(CHUNK_STARTS, start);
  store<usize>(SEQUENCE_STARTS, SEQUENCES);
  let chunks: u32 = 0;
  let at = start;
  do {
    at = findMatches(at, COUNTS + chunks * COUNTS_BYTES, chunkSequences(chunks));
    chunks++;
    store<usize>(CHUNK_STARTS + (chunks << 2), at);
    store<usize>(SEQUENCE_STARTS + (chunks << 2), lastSequence());
  } while (at < end && chunks < CHUNKS);
  chooseBlocks(chunks);
  return chunks;
}

/** Adds up the counts of the block that begins with the chunk `first`. Returns the chunk after it. */
export function openBlock(first: u32): u32 {
  const after = load<u8>(BLOCK_ENDS + first) as u32;
  memory.fill(LITERAL_FREQUENCIES, 0, COUNTS_BYTES);
  for (let chunk = first; chunk < after; chunk++) {
    const counts = COUNTS + chunk * COUNTS_BYTES;
    for (let i: usize = 0; i < COUNTS_BYTES; i += 16) {
      v128.store(LITERAL_FREQUENCIES + i, i32x4.add(v128.load(LITERAL_FREQUENCIES + i), v128.load(counts + i)));
    }
  }
  store<u32>(LITERAL_FREQUENCIES + (END_OF_BLOCK << 2), 1);
  return after;
}

/** Where a chunk begins in the source. */
export function chunkStart(chunk: u32): usize {
  return load<usize>(CHUNK_STARTS + (chunk << 2));
}

/** Where the sequences of a chunk begin. */
export function chunkSequences(chunk: u32): usize {
  return load<usize>(SEQUENCE_STARTS + (chunk << 2));
}

function chooseBlocks(chunks: u32): void {
  store<f32>(COSTS + (chunks << 2), 0);
  for (let first: i32 = chunks - 1; first >= 0; first--) {
    memory.fill(SUM, 0, COUNTS_BYTES);
    let least = Infinity as f32;
    for (let after = (first as u32) + 1; after <= chunks; after++) {
      const counts = COUNTS + (after - 1) * COUNTS_BYTES;
      const literals = addAndPrice(counts, 0, DISTANCE_COUNTS);
      const distances = addAndPrice(counts, DISTANCE_COUNTS, COUNTS_BYTES);
      const cost = BLOCK_COST + literals + distances + load<f32>(COSTS + (after << 2));
      if (cost >= least) continue;
      least = cost;
      store<u8>(BLOCK_ENDS + first, after);
    }
    store<f32>(COSTS + (first << 2), least);
  }
}

/** Adds the counts of one alphabet to SUM and returns the bits that the symbols of the sum take: T log T − Σ n log n, and the code. */
function addAndPrice(counts: usize, from: usize, to: usize): f32 {
  let totals = f32x4.splat(0);
  let products = f32x4.splat(0);
  let unused = i32x4.splat(0);
  for (let i = from; i < to; i += 16) {
    const sums = i32x4.add(v128.load(SUM + i), v128.load(counts + i));
    v128.store(SUM + i, sums);
    unused = i32x4.add(unused, i32x4.eq(sums, i32x4.splat(0)));
    const each = f32x4.convert_i32x4_s(sums);
    totals = f32x4.add(totals, each);
    products = f32x4.add(products, f32x4.mul(each, logarithms(f32x4.max(each, f32x4.splat(1)))));
  }
  const total = max<f32>(sumOfLanes(totals), 1);
  const used = (((to - from) >> 2) as f32) + sumOfLanes(f32x4.convert_i32x4_s(unused));
  return total * f32x4.extract_lane(logarithms(f32x4.splat(total)), 0) - sumOfLanes(products) + SYMBOL_COST * used;
}

/** Logarithms to the base 2 of four numbers from 1 on, within 0.01: the exponent, and a parabola for the mantissa. */
function logarithms(numbers: v128): v128 {
  const exponents = f32x4.convert_i32x4_s(i32x4.sub(i32x4.shr_s(numbers, 23), i32x4.splat(127)));
  const mantissas = v128.or(v128.and(numbers, i32x4.splat(0x7fffff)), f32x4.splat(1));
  const parts = f32x4.sub(mantissas, f32x4.splat(1));
  return f32x4.add(exponents, f32x4.mul(parts, f32x4.sub(f32x4.splat(1.345), f32x4.mul(parts, f32x4.splat(0.345)))));
}

function sumOfLanes(lanes: v128): f32 {
  return f32x4.extract_lane(lanes, 0) + f32x4.extract_lane(lanes, 1) + f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3);
}
