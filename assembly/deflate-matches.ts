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

// Positions of equal hashes form chains: HEADS holds the last position of four bytes with a hash, PREVIOUS the one before each of the
// last 32768 positions; all are modulo 65536. Entries need no marks of validity: a chain is followed only while its distances
// grow, each leads to real bytes within reach, and a match counts only after comparing them. Of three bytes only the last
// position is known, in a table of its own.
const HASH_BITS: u32 = 14;
const SHORT_HASH_BITS: u32 = 13;
const HASH_FACTOR: u32 = 0x9e3779b1;
const HEADS: usize = memory.data(2 << HASH_BITS, 16);
const SHORT_HEADS: usize = memory.data(2 << SHORT_HASH_BITS, 16);
const CHAIN_POSITIONS: u32 = 1 << 15;
const PREVIOUS: usize = memory.data(2 * CHAIN_POSITIONS, 16);
const MIN_MATCH: u32 = 3;
// Farther back than this three bytes cost no less as a match than as literals.
const SHORT_REACH: u32 = 4096;

// Comparisons take 16 bytes at once, so the last 15 bytes of the source start no match.
const WORD_BYTES: u32 = 16;

// How hard to search: places tried for a match, and for a longer one at the next byte; a match shorter than LAZY_BELOW gives way to
// such a longer one if that gains more; none longer than NICE is looked for. The first row is for speed, the second for small output.
const TRIES: usize = memory.data<u16>([8, 512]);
const LAZY_TRIES: usize = memory.data<u16>([4, 256]);
const LAZY_BELOW: usize = memory.data<u16>([8, 258]);
const NICE: usize = memory.data<u16>([64, 258]);
// The literal before a match that is put off, as a gain that the later match must have more.
const LAZY_COST: i32 = 2;
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
let tries: u32 = 0;
let lazyTries: u32 = 0;
let lazyBelow: u32 = 0;
let nice: u32 = 0;
let sequencesEnd: usize = SEQUENCES;

/** Starts on a new source. No match reaches farther than `window` bytes back. `effort`: 0 for speed, 1 for small output. */
export function startMatches(src: usize, end: usize, window: u32, effort: u32): void {
  source = src;
  sourceEnd = end;
  windowSize = window;
  tries = load<u16>(TRIES + (effort << 1));
  lazyTries = load<u16>(LAZY_TRIES + (effort << 1));
  lazyBelow = load<u16>(LAZY_BELOW + (effort << 1));
  nice = load<u16>(NICE + (effort << 1));
  memory.fill(HEADS, 0, 2 << HASH_BITS);
  memory.fill(SHORT_HEADS, 0, 2 << SHORT_HASH_BITS);
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
    let match = search(at, pending >> 16, pending ? lazyTries : tries);
    let inserted = at + 1;
    if (pending) {
      if (match && gainOf(match) > gainOf(pending) + LAZY_COST) {
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
    } else if (match >> 16 < lazyBelow && inserted < searchEnd) {
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

/** What a match saves, in quarters of a byte: four for each byte, one less for every bit of its distance. */
function gainOf(match: u32): i32 {
  return ((match >> 16) << 2) - (31 - clz(match & 0xffff));
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

function headOf(word: u32): usize {
  return HEADS + (((word * HASH_FACTOR) >> (32 - HASH_BITS)) << 1);
}

function shortHeadOf(word: u32): usize {
  return SHORT_HEADS + ((((word << 8) * HASH_FACTOR) >> (32 - SHORT_HASH_BITS)) << 1);
}

function insert(at: usize): void {
  const position = (at - source) as u32;
  const word = load<u32>(at);
  const head = headOf(word);
  store<u16>(PREVIOUS + ((position & (CHAIN_POSITIONS - 1)) << 1), load<u16>(head));
  store<u16>(head, position);
  store<u16>(shortHeadOf(word), position);
}

/**
 * Enters `at` and returns the longest match found in `tries` places, as length << 16 | distance; 0 if none is longer than `shortest`.
 * A place is compared only if it also has the bytes that would make the match longer than the best so far.
 */
function search(at: usize, shortest: u32, tries: u32): u32 {
  const position = (at - source) as u32;
  const word = load<u32>(at);
  const head = headOf(word);
  const shortHead = shortHeadOf(word);
  let candidate = load<u16>(head) as u32;
  const shortCandidate = load<u16>(shortHead) as u32;
  store<u16>(PREVIOUS + ((position & (CHAIN_POSITIONS - 1)) << 1), candidate);
  store<u16>(head, position);
  store<u16>(shortHead, position);

  const bytes = v128.load(at);
  const reach = min(windowSize, position);
  const longest = min(MAX_MATCH, (sourceEnd - at) as u32);
  let best: u32 = 0;
  let length = max(shortest, MIN_MATCH);
  let ending = load<u32>(at + length - MIN_MATCH);
  let last: u32 = 0;
  do {
    const distance = (position - candidate) & 0xffff;
    if (distance <= last || distance > reach) break;
    last = distance;
    const from = at - distance;
    if (load<u32>(from + length - MIN_MATCH) == ending) {
      let same = sameBytes(bytes, v128.load(from));
      if (same == WORD_BYTES) same = matchLength(at, from, longest);
      if (same > length) {
        length = same;
        best = (same << 16) | distance;
        if (same >= min(nice, longest)) return best;
        ending = load<u32>(at + length - MIN_MATCH);
      }
    }
    candidate = load<u16>(PREVIOUS + ((candidate & (CHAIN_POSITIONS - 1)) << 1));
  } while (--tries);
  if (best || shortest) return best;

  const distance = (position - shortCandidate) & 0xffff;
  const equal = distance - 1 < min(reach, SHORT_REACH) && (load<u32>(at - distance) ^ word) << 8 == 0;
  return equal ? (MIN_MATCH << 16) | distance : 0;
}

/** Number of equal bytes before the first difference, 16 if there is none. */
function sameBytes(a: v128, b: v128): u32 {
  return ctz(~i8x16.bitmask(i8x16.eq(a, b))) as u32;
}

/** Length of a match whose first 16 bytes are known to be equal. */
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
