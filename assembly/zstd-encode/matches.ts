// Match search of the Zstandard encoder: cuts a block into sequences, each a run of literals and the match after it.

// Two tables of positions: the last one of eight bytes with a hash, and of five. They start as zeros, which is a real position too:
// so all that ever stands in them lies before the place searched for, and counts only after its bytes were compared. Units of
// up to 64 KiB have small tables of u16, because these are cleared for each unit.
const FACTOR: u64 = ((0x9e3779b9 as u64) << 32) | 0x7f4a7c15;
const SMALL_BITS: u32 = 14;
const LARGE_BITS: u32 = 16;
const SMALL_UNIT: usize = 1 << 16;
const LONG: usize = memory.data(4 << LARGE_BITS, 16);
const SHORT: usize = memory.data(4 << LARGE_BITS, 16);
const LONG_BYTES: u32 = 8;
const SHORT_BYTES: u32 = 5;
const MIN_MATCH: u32 = 4;

// After 1 << SKIP_SHIFT literals in a row every second byte is searched, then every third, and so on: data that does not
// compress is passed quickly.
const SKIP_SHIFT: u32 = 8;
// Searches read nine bytes and enter a few places; near its end a block has none.
const SEARCH_END: usize = 12;
const VECTOR: usize = 16;

/** A block takes this much of the unit at most: data often changes in kind, and two sets of codes are smaller then than one. */
export const BLOCK_BYTES: u32 = 1 << 16;

/** A sequence: length of its literals, length of the match, Offset_Value (u32 each). The fourth word is for the codes made of them. */
export const SEQUENCE_BYTES: usize = 16;
export const SEQUENCES: usize = memory.data((BLOCK_BYTES / MIN_MATCH) * 16, 16);
export let sequencesEnd: usize = SEQUENCES;

/** The literals of a block, one run after the other, and those behind the last match. */
export const LITERALS: usize = memory.data(BLOCK_BYTES + 16, 16);
export let literalsEnd: usize = LITERALS;

let unit: usize = 0;
let isSmall: bool = true;
// Section 3.1.1.5: the offsets that can be named again; those of the block before, for the case that this one is stored.
let repeat1: u32 = 0;
let repeat2: u32 = 0;
let repeat3: u32 = 0;
let before1: u32 = 0;
let before2: u32 = 0;
let before3: u32 = 0;

/** Starts on a new unit. */
export function startMatches(from: usize, end: usize): void {
  unit = from;
  isSmall = end - from <= SMALL_UNIT;
  repeat1 = 1;
  repeat2 = 4;
  repeat3 = 8;
  const bytes = isSmall ? tableBytes<u16>() : tableBytes<u32>();
  memory.fill(LONG, 0, bytes);
  memory.fill(SHORT, 0, bytes);
}

/** Fills SEQUENCES and LITERALS for the block `start`..`end` of the unit. */
export function findMatches(start: usize, end: usize): void {
  before1 = repeat1;
  before2 = repeat2;
  before3 = repeat3;
  if (isSmall) find<u16>(start, end);
  else find<u32>(start, end);
}

/** The block is not written as these sequences: a decoder will know nothing of their offsets. */
export function forgetMatches(): void {
  repeat1 = before1;
  repeat2 = before2;
  repeat3 = before3;
}

function hashBits<T>(): u32 {
  return sizeof<T>() == 2 ? SMALL_BITS : LARGE_BITS;
}
function tableBytes<T>(): usize {
  return sizeof<T>() << (hashBits<T>() as usize);
}
/** Offsets into the tables. */
function longSlot<T>(word: u64): usize {
  return (((word * FACTOR) >> ((64 - hashBits<T>()) as u64)) as usize) << alignof<T>();
}
function shortSlot<T>(word: u64): usize {
  return longSlot<T>(word << (((LONG_BYTES - SHORT_BYTES) * 8) as u64));
}
function enterLong<T>(at: usize, position: usize): void {
  store<T>(longSlot<T>(load<u64>(at)), position as T, LONG);
}
function enterShort<T>(at: usize, position: usize): void {
  store<T>(shortSlot<T>(load<u64>(at)), position as T, SHORT);
}

function find<T>(start: usize, end: usize): void {
  const origin = unit;
  let offset1 = repeat1;
  let offset2 = repeat2;
  let offset3 = repeat3;
  let sequence = SEQUENCES;
  let literals = LITERALS;
  let literalStart = start;
  // Nothing lies before the first byte.
  let at = start == origin ? start + 1 : start;
  const searchEnd = end - start <= SEARCH_END ? start : end - SEARCH_END;
  while (at < searchEnd) {
    const searched = at;
    const word = load<u64>(at);
    const long = longSlot<T>(word);
    const short = shortSlot<T>(word);
    const longFrom = origin + (load<T>(long, LONG) as usize);
    const shortFrom = origin + (load<T>(short, SHORT) as usize);
    store<T>(long, (at - origin) as T, LONG);
    store<T>(short, (at - origin) as T, SHORT);
    let from: usize;
    let length: u32;
    if (load<u32>(at + 1 - offset1) == ((word >> 8) as u32)) {
      at++;
      from = at - offset1;
      length = matchLength(at, from, MIN_MATCH, end);
    } else {
      if (load<u64>(longFrom) == word) {
        from = longFrom;
        length = matchLength(at, from, LONG_BYTES, end);
      } else if (load<u32>(shortFrom) == (word as u32)) {
        // A long match at the next byte is better.
        const next = load<u64>(at + 1);
        const nextLong = longSlot<T>(next);
        const nextFrom = origin + (load<T>(nextLong, LONG) as usize);
        store<T>(nextLong, (at + 1 - origin) as T, LONG);
        if (load<u64>(nextFrom) == next) {
          at++;
          from = nextFrom;
          length = matchLength(at, from, LONG_BYTES, end);
        } else {
          from = shortFrom;
          length = matchLength(at, from, MIN_MATCH, end);
        }
      } else {
        at += 1 + ((at - literalStart) >> SKIP_SHIFT);
        continue;
      }
      // It may begin up to eight bytes earlier.
      const earlier = (clz(load<u64>(at - 8) ^ load<u64>(from - 8)) >> 3) as usize;
      const back = min(earlier, min(at - literalStart, from - origin));
      at -= back;
      from -= back;
      length += back as u32;
    }

    const run = at - literalStart;
    v128.store(literals, v128.load(literalStart));
    for (let done = VECTOR; done < run; done += VECTOR) v128.store(literals + done, v128.load(literalStart + done));
    literals += run;

    // Right behind a match the first offset cannot be named, and the others have the names before theirs.
    const offset = (at - from) as u32;
    const shift = u32(run == 0);
    let value = offset + 3;
    if (offset == offset1 && run) {
      value = 1;
    } else {
      if (offset == offset2) {
        value = 2 - shift;
      } else {
        if (offset == offset3) value = 3 - shift;
        offset3 = offset2;
      }
      offset2 = offset1;
      offset1 = offset;
    }
    store<u32>(sequence, run);
    store<u32>(sequence, length, 4);
    store<u32>(sequence, value, 8);
    sequence += SEQUENCE_BYTES;
    at += length;
    literalStart = at;
    if (at >= searchEnd) break;
    // Of the places inside the match four entries are worth their time.
    enterLong<T>(searched + 2, searched + 2 - origin);
    enterShort<T>(searched + 2, searched + 2 - origin);
    enterLong<T>(at - 2, at - 2 - origin);
    enterShort<T>(at - 1, at - 1 - origin);

    while (at < searchEnd && load<u32>(at) == load<u32>(at - offset2)) {
      const again = offset2;
      offset2 = offset1;
      offset1 = again;
      enterLong<T>(at, at - origin);
      enterShort<T>(at, at - origin);
      const more = matchLength(at, at - again, MIN_MATCH, end);
      store<u32>(sequence, 0);
      store<u32>(sequence, more, 4);
      store<u32>(sequence, 1, 8);
      sequence += SEQUENCE_BYTES;
      at += more;
      literalStart = at;
    }
  }
  memory.copy(literals, literalStart, end - literalStart);
  literalsEnd = literals + (end - literalStart);
  sequencesEnd = sequence;
  repeat1 = offset1;
  repeat2 = offset2;
  repeat3 = offset3;
}

/** Length of a match up to `end`; its first `known` bytes are known to be equal. */
function matchLength(at: usize, from: usize, known: u32, end: usize): u32 {
  const start = at;
  at += known;
  from += known;
  while (at < end) {
    const difference = load<u64>(at) ^ load<u64>(from);
    if (difference) {
      at += (ctz(difference) >> 3) as usize;
      break;
    }
    at += 8;
    from += 8;
  }
  return (min(at, end) - start) as u32;
}
