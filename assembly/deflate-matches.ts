// Match search of the DEFLATE encoder: cuts the source into blocks of literal runs and matches, and counts the symbols.

import {
  DISTANCE_SYMBOLS,
  END_OF_BLOCK,
  FIRST_LENGTH_SYMBOL,
  LENGTH_BASE,
  LENGTH_EXTRA,
  LENGTH_SYMBOLS,
  LITERAL_SYMBOLS,
  MAX_MATCH,
} from "./deflate-format";

// Each bucket of the hash table holds the two last positions, modulo 65536, of four bytes with the same hash. Entries
// need no marks of validity: every entry is a position already passed or zero, so the distance it stands for leads to
// real bytes, and a match counts only after comparing them.
const HASH_BITS: u32 = 13;
const HASH_FACTOR: u32 = 0x9e3779b1;
const HASH_TABLE: usize = memory.data(4 << HASH_BITS, 16);
const MIN_MATCH: u32 = 4;

// Search compares words of eight bytes, so the last seven bytes of the source start no match.
const WORD_BYTES: u32 = 16;

// A match shorter than this gives way to a longer one that starts at the next byte.
const LAZY_BELOW: u32 = 16;
// After 1 << SKIP_SHIFT literals in a row every second byte is searched, then every third, and so on: data that does not
// compress is passed quickly.
const SKIP_SHIFT: u32 = 8;

// A block takes this much of the source, and the rest of a match that begins inside. Clusters often change in kind
// half-way, and two sets of codes are smaller then than one.
const BLOCK_BYTES: u32 = 1 << 15;

// One sequence is a run of literals and the match after it: run length (u32), then match length << 16 | distance, or 0
// for the literals that end a block.
export const SEQUENCE_BYTES: usize = 8;
export const SEQUENCES: usize = memory.data((BLOCK_BYTES / MIN_MATCH + 2) * 8, 16);

export const LITERAL_FREQUENCIES: usize = memory.data(LITERAL_SYMBOLS * 4, 16);
export const DISTANCE_FREQUENCIES: usize = memory.data(DISTANCE_SYMBOLS * 4, 16);

// Length symbol − 257 of every match length.
export const LENGTH_SYMBOL_OF: usize = memory.data(MAX_MATCH + 1, 16);
let lengthSymbolsReady: bool = false;

let source: usize = 0;
let sourceEnd: usize = 0;
let windowSize: u32 = 0;
let sequencesEnd: usize = SEQUENCES;

/** Starts on a new source. No match reaches farther than `window` bytes back. */
export function startMatches(src: usize, end: usize, window: u32): void {
  source = src;
  sourceEnd = end;
  windowSize = window;
  memory.fill(HASH_TABLE, 0, 4 << HASH_BITS);
  if (!lengthSymbolsReady) prepareLengthSymbols();
}

/** End of the sequences of the last block. */
export function lastSequence(): usize {
  return sequencesEnd;
}

/** Fills SEQUENCES and the frequencies for the block that begins at `start`; returns where the block ends. */
export function findMatches(start: usize): usize {
  memory.fill(LITERAL_FREQUENCIES, 0, LITERAL_SYMBOLS * 4);
  memory.fill(DISTANCE_FREQUENCIES, 0, DISTANCE_SYMBOLS * 4);
  increment(LITERAL_FREQUENCIES, END_OF_BLOCK);

  const blockEnd = min(start + BLOCK_BYTES, sourceEnd);
  const searchEnd = sourceEnd - source < WORD_BYTES ? start : min(blockEnd, sourceEnd - (WORD_BYTES - 1));
  let sequence = SEQUENCES;
  let literalStart = start;
  let at = start;
  let pending: u32 = 0; // a short match at the byte before, held back in case the search at this byte finds a longer one
  while (at < searchEnd) {
    let match = search(at);
    let inserted = at + 1;
    if (pending) {
      if (match >> 16 > pending >> 16) {
        increment(LITERAL_FREQUENCIES, load<u8>(at - 1));
      } else {
        match = pending;
        at--;
      }
      pending = 0;
    } else if (!match) {
      let literals = 1 + (((at - literalStart) as u32) >> SKIP_SHIFT);
      do {
        increment(LITERAL_FREQUENCIES, load<u8>(at));
        at++;
      } while (--literals && at < blockEnd);
      continue;
    } else if (match >> 16 < LAZY_BELOW && inserted < searchEnd) {
      pending = match;
      at = inserted;
      continue;
    }
    store<u32>(sequence, at - literalStart);
    store<u32>(sequence, match, 4);
    sequence += SEQUENCE_BYTES;
    const length = match >> 16;
    increment(LITERAL_FREQUENCIES, FIRST_LENGTH_SYMBOL + load<u8>(LENGTH_SYMBOL_OF + length));
    increment(DISTANCE_FREQUENCIES, distanceSymbol(match & 0xffff));
    at += length;
    literalStart = at;
    const insertEnd = min(at, searchEnd);
    for (; inserted < insertEnd; inserted++) insert(inserted);
  }
  for (; at < blockEnd; at++) increment(LITERAL_FREQUENCIES, load<u8>(at));
  if (at > literalStart) {
    store<u32>(sequence, at - literalStart);
    store<u32>(sequence, 0, 4);
    sequence += SEQUENCE_BYTES;
  }
  sequencesEnd = sequence;
  return at;
}

/** Distance symbol of a distance (RFC 1951 §3.2.5): two symbols for every power of two. */
export function distanceSymbol(distance: u32): u32 {
  const value = distance - 1;
  if (value < 2) return value;
  const top = 31 - clz(value);
  return (top << 1) + ((value >> (top - 1)) & 1);
}

function increment(counters: usize, index: u32): void {
  const counter = counters + (index << 2);
  store<u32>(counter, load<u32>(counter) + 1);
}

function bucketOf(word: u32): usize {
  return HASH_TABLE + (((word * HASH_FACTOR) >> (32 - HASH_BITS)) << 2);
}

function insert(at: usize): void {
  const bucket = bucketOf(load<u32>(at));
  store<u32>(bucket, (load<u32>(bucket) << 16) | (((at - source) as u32) & 0xffff));
}

/**
 * Enters `at` into the table and returns the better of the two earlier positions, as length << 16 | distance, or 0.
 * Both are measured over the first eight bytes without a branch: which one matches cannot be predicted.
 */
function search(at: usize): u32 {
  const bytes = v128.load(at);
  const bucket = bucketOf(load<u32>(at));
  const position = (at - source) as u32;
  const candidates = load<u32>(bucket);
  store<u32>(bucket, (candidates << 16) | (position & 0xffff));
  const reach = min(windowSize, position);

  // A distance of 0 (an entry of 65536 bytes ago) becomes the greatest number here and is out of reach as well.
  const near = (position - candidates) & 0xffff;
  const far = (position - (candidates >> 16)) & 0xffff;
  const nearSame = select<u32>(sameBytes(bytes, v128.load(at - near)), 0, near - 1 < reach);
  const farSame = select<u32>(sameBytes(bytes, v128.load(at - far)), 0, far - 1 < reach);
  const same = max(nearSame, farSame);
  if (same < MIN_MATCH) return 0;
  if (same < WORD_BYTES) return (same << 16) | select<u32>(near, far, nearSame >= farSame);

  const longest = min(MAX_MATCH, (sourceEnd - at) as u32);
  const nearLength = nearSame == WORD_BYTES ? matchLength(at, at - near, longest) : 0;
  const farLength = farSame == WORD_BYTES ? matchLength(at, at - far, longest) : 0;
  return nearLength >= farLength ? (nearLength << 16) | near : (farLength << 16) | far;
}

/** Number of equal bytes before the first difference, 16 if there is none. */
function sameBytes(a: v128, b: v128): u32 {
  return ctz(~i8x16.bitmask(i8x16.eq(a, b))) as u32;
}

/** Length of a match whose first eight bytes are known to be equal. */
function matchLength(at: usize, from: usize, longest: u32): u32 {
  let length = WORD_BYTES;
  while (length < longest) {
    const same = sameBytes(v128.load(at + length), v128.load(from + length));
    length += same;
    if (same < WORD_BYTES) break;
  }
  return min(length, longest);
}

function prepareLengthSymbols(): void {
  for (let symbol: u32 = 0; symbol < LENGTH_SYMBOLS; symbol++) {
    const base = load<u16>(LENGTH_BASE + (symbol << 1)) as u32;
    const end = min(base + (1 << load<u8>(LENGTH_EXTRA + symbol)), MAX_MATCH + 1);
    // The last symbol is 258 alone and overwrites the end of the range before it.
    for (let length = base; length < end; length++) store<u8>(LENGTH_SYMBOL_OF + length, symbol);
  }
  lengthSymbolsReady = true;
}
