// Match search of the DEFLATE encoder: cuts the source into literal runs and matches, and counts the symbols.

import { FIRST_LENGTH_SYMBOL, LENGTH_BASE, LENGTH_EXTRA, LENGTH_SYMBOLS, MAX_MATCH } from "./deflate-format";

// Positions of equal hashes form chains: HEADS holds the last position of four bytes with a hash, PREVIOUS the one before each of the
// last 32768 positions; all are modulo 65536. Entries need no marks of validity: a chain is followed only while its distances
// grow, each leads to real bytes within reach, and a match counts only after comparing them. Of three bytes only the last
// position is known, in a table of its own.
//
// Sixteen bits of hash keep positions with other bytes out of the chains; that is worth more than a table that fits the nearest cache.
const HASH_BITS: u32 = 16;
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
// such a longer one if that gains more; none longer than NICE is looked for. Of a match longer than ENTER_ALL only the last positions
// are entered into the tables: what it repeats is there already. The first column is for speed, the second for small output.
const TRIES: usize = memory.data<u16>([8, 512]);
const LAZY_TRIES: usize = memory.data<u16>([3, 256]);
const LAZY_BELOW: usize = memory.data<u16>([5, 258]);
const NICE: usize = memory.data<u16>([32, 258]);
const ENTER_ALL: usize = memory.data<u16>([32, 258]);
const ENTERED_TAIL: usize = 16;
// The literal before a match that is put off, as a gain that the later match must have more.
const LAZY_COST: i32 = 2;
// After 1 << SKIP_SHIFT literals in a row every second byte is searched, then every third, and so on: data that does not
// compress is passed quickly.
const SKIP_SHIFT: u32 = 8;

// A chunk takes this much of the source, and the rest of a match that begins inside.
const CHUNK_BYTES: u32 = 1 << 13;

// One sequence is a run of literals and the match after it: run length (u32), then match length << 16 | distance, or 0
// for the literals that end a chunk.
export const SEQUENCE_BYTES: usize = 8;
/** The most sequences of a chunk. */
export const CHUNK_SEQUENCES: u32 = CHUNK_BYTES / MIN_MATCH + 2;

// Counts of the symbols of a chunk (u32 each): literals and lengths, then distances, both filled up to whole vectors.
export const DISTANCE_COUNTS: usize = 288 * 4;
export const COUNTS_BYTES: u32 = (288 + 32) * 4;

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
let enterAll: u32 = 0;
let sequencesEnd: usize = 0;

/** Starts on a new source. No match reaches farther than `window` bytes back. `effort`: 0 for speed, 1 for small output. */
export function startMatches(src: usize, end: usize, window: u32, effort: u32): void {
  source = src;
  sourceEnd = end;
  windowSize = window;
  tries = load<u16>(TRIES + (effort << 1));
  lazyTries = load<u16>(LAZY_TRIES + (effort << 1));
  lazyBelow = load<u16>(LAZY_BELOW + (effort << 1));
  nice = load<u16>(NICE + (effort << 1));
  enterAll = load<u16>(ENTER_ALL + (effort << 1));
  memory.fill(HEADS, 0, 2 << HASH_BITS);
  memory.fill(SHORT_HEADS, 0, 2 << SHORT_HASH_BITS);
  if (!lengthSymbolsReady) prepareLengthSymbols();
}

/** End of the sequences of the last chunk. */
export function lastSequence(): usize {
  return sequencesEnd;
}

/**
 * Writes the sequences of the chunk that begins at `start`, and its counts; returns where it ends.
 *
 * The whole search of a position is here, in one loop: as a function of its own it is called, not inlined, 16,000 times for 64 KiB.
 * The first place of the chain and the last one with the same three bytes are compared without a branch, because nobody can foretell
 * whether they match; a place that is out of reach is compared with itself, and the outcome ignored.
 */
export function findMatches(start: usize, counts: usize, sequences: usize): usize {
  memory.fill(counts, 0, COUNTS_BYTES);
  const from = source;
  const end = sourceEnd;
  const chunkEnd = min(start + CHUNK_BYTES, end);
  const searchEnd = end - from < WORD_BYTES ? start : min(chunkEnd, end - (WORD_BYTES - 1));
  let sequence = sequences;
  let literalStart = start;
  let at = start;
  let pending: u32 = 0; // a short match at the byte before, held back in case the search at this byte finds a longer one
  while (at < searchEnd) {
    const position = (at - from) as u32;
    const word = load<u32>(at);
    const head = headOf(word);
    const shortHead = shortHeadOf(word);
    let candidate = load<u16>(head) as u32;
    let distance = (position - candidate) & 0xffff;
    const shortDistance = (position - load<u16>(shortHead)) & 0xffff;
    store<u16>(PREVIOUS + ((position & (CHAIN_POSITIONS - 1)) << 1), candidate);
    store<u16>(head, position);
    store<u16>(shortHead, position);

    const bytes = v128.load(at);
    const reach = min(windowSize, position);
    const inReach = distance - 1 < reach;
    const shortInReach = shortDistance - 1 < min(reach, SHORT_REACH);
    const place = at - select<u32>(distance, 0, inReach);
    const shortPlace = at - select<u32>(shortDistance, 0, shortInReach);
    const same = sameBytes(bytes, v128.load(place));
    const shortEqual = (load<u32>(shortPlace) ^ word) << 8 == 0;
    let match: u32 = select<u32>((MIN_MATCH << 16) | shortDistance, 0, u32(shortInReach) & u32(shortEqual));
    match = select<u32>((same << 16) | distance, match, u32(inReach) & u32(same > MIN_MATCH));
    const longest = min(MAX_MATCH, (end - at) as u32);
    if (match >= WORD_BYTES << 16) match = (matchLength(at, place, longest) << 16) | distance;

    // The other places of the chain, each compared only if it also has the bytes that would make the match longer.
    let last = distance;
    candidate = load<u16>(PREVIOUS + ((candidate & (CHAIN_POSITIONS - 1)) << 1));
    distance = (position - candidate) & 0xffff;
    if (distance > last && distance <= reach && match < nice << 16) {
      let length = max(match >> 16, MIN_MATCH);
      let ending = load<u32>(at + length - MIN_MATCH);
      let left = pending ? lazyTries : tries;
      while (--left) {
        if (load<u32>(at - distance + length - MIN_MATCH) == ending) {
          let found = sameBytes(bytes, v128.load(at - distance));
          if (found == WORD_BYTES) found = matchLength(at, at - distance, longest);
          if (found > length) {
            match = (found << 16) | distance;
            if (found >= min(nice, longest)) break;
            length = found;
            ending = load<u32>(at + length - MIN_MATCH);
          }
        }
        last = distance;
        candidate = load<u16>(PREVIOUS + ((candidate & (CHAIN_POSITIONS - 1)) << 1));
        distance = (position - candidate) & 0xffff;
        if (distance <= last || distance > reach) break;
      }
    }

    let entered = at + 1;
    if (pending) {
      if (match && gainOf(match) > gainOf(pending) + LAZY_COST) {
        increment(counts, load<u8>(at - 1));
      } else {
        match = pending;
        at--;
      }
      pending = 0;
    } else if (!match) {
      increment(counts, word & 0xff);
      at++;
      const passed = min(at + (((at - literalStart) as u32) >> SKIP_SHIFT), chunkEnd);
      for (; at < passed; at++) increment(counts, load<u8>(at));
      continue;
    } else if (match >> 16 < lazyBelow && entered < searchEnd) {
      pending = match;
      at = entered;
      continue;
    }
    store<u32>(sequence, at - literalStart);
    store<u32>(sequence, match, 4);
    sequence += SEQUENCE_BYTES;
    const length = match >> 16;
    increment(counts, FIRST_LENGTH_SYMBOL + load<u8>(LENGTH_SYMBOL_OF + length));
    increment(counts + DISTANCE_COUNTS, distanceSymbol(match & 0xffff));
    at += length;
    literalStart = at;
    if (length > enterAll) entered = at - ENTERED_TAIL;
    const enterEnd = min(at, searchEnd);
    for (; entered < enterEnd; entered++) enter(entered, (entered - from) as u32);
  }
  for (; at < chunkEnd; at++) increment(counts, load<u8>(at));
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

function enter(at: usize, position: u32): void {
  const word = load<u32>(at);
  const head = headOf(word);
  store<u16>(PREVIOUS + ((position & (CHAIN_POSITIONS - 1)) << 1), load<u16>(head));
  store<u16>(head, position);
  store<u16>(shortHeadOf(word), position);
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
