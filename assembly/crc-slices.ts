// Reflected CRC-32, in two ways.
//
// Slicing: 16 tables, table k advances a byte over k further zero bytes (Kounavis, Berry: "Novel Table Lookup-Based
// Algorithms for High-Performance CRC Generation").
//
// Folding, for long inputs: if the polynomial divides 1 + x^a + x^b + …, it also divides 1 + y^a + y^b + … for y = x^128,
// as squaring a polynomial over GF(2) doubles its exponents and does nothing else. So a vector of 16 bytes may be replaced
// by the same vector added (exclusive or) to those that follow at certain distances, which changes no CRC: no tables, no
// shifts, whole vectors only. What is left in the end are the last vectors, as many as the greatest distance; they are sliced.
// The distances belong to the multiple of the least degree among those of six terms (a search over pairs of exponents).

const SLICES: usize = 16;
export const TABLE_BYTES: i32 = 16 * 256 * 4;

/** Fills `table` (TABLE_BYTES) for the reflected polynomial. */
export function fillTables(table: usize, polynomial: u32): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    store<u32>(table + byte * 4, crc);
  }
  for (let byte: usize = 0; byte < 256; byte++) {
    let crc = load<u32>(table + byte * 4);
    for (let slice: usize = 1; slice < SLICES; slice++) {
      crc = (crc >>> 8) ^ load<u32>(table + (crc & 255) * 4);
      store<u32>(table + slice * 1024 + byte * 4, crc);
    }
  }
}

/** The four bytes of `word`, the first of which is followed by `after` + 3 bytes of the step. */
function four(table: usize, word: u32, after: usize): u32 {
  const slice = table + after * 1024;
  return (
    load<u32>(slice + (word & 255) * 4, 3 * 1024) ^
    load<u32>(slice + ((word >>> 8) & 255) * 4, 2 * 1024) ^
    load<u32>(slice + ((word >>> 16) & 255) * 4, 1024) ^
    load<u32>(slice + (word >>> 24) * 4)
  );
}

/** Continues `crc` (not inverted, as callers see it) over `length` bytes. */
function sliceCrc(table: usize, ptr: usize, length: usize, crc: u32): u32 {
  const end = ptr + length;
  const wide = ptr + (length & ~15);
  crc = ~crc;
  while (ptr < wide) {
    crc =
      four(table, load<u32>(ptr) ^ crc, 12) ^
      four(table, load<u32>(ptr, 4), 8) ^
      four(table, load<u32>(ptr, 8), 4) ^
      four(table, load<u32>(ptr, 12), 0);
    ptr += 16;
  }
  while (ptr < end) {
    crc = (crc >>> 8) ^ load<u32>(table + ((crc ^ load<u8>(ptr)) & 255) * 4);
    ptr++;
  }
  return ~crc;
}

const GROUP: usize = 64; // folded at a time; all distances are longer
const HISTORY: usize = 4096; // room for the longest distance
const BLOCK: usize = 16384; // folded before the history is moved to its start
const LONG: usize = 8192; // worth folding
/** Vectors that were folded: `HISTORY` bytes, and behind them up to `BLOCK` that are being added. */
const FOLDED: usize = memory.data(HISTORY + BLOCK, 16);
const CURRENT: usize = FOLDED + HISTORY;
/** The last vectors. */
const REST: usize = memory.data(HISTORY, 16);

/**
 * `length` bytes (a multiple of GROUP) at `ptr`, with what comes from the vectors in FOLDED at the five distances before
 * CURRENT and so on, → `to`.
 */
function fold(ptr: usize, length: usize, to: usize, a: usize, b: usize, c: usize, d: usize, e: usize): void {
  for (let at: usize = 0; at < length; at += GROUP) {
    const place = CURRENT + at;
    for (let i: usize = 0; i < GROUP; i += 16) {
      const near = v128.xor(v128.load(place - a + i), v128.xor(v128.load(place - b + i), v128.load(place - c + i)));
      const far = v128.xor(v128.load(place - d + i), v128.load(place - e + i));
      v128.store(to + at + i, v128.xor(v128.xor(v128.load(ptr + at + i), far), near));
    }
  }
}

/**
 * Continues `crc` (not inverted, as callers see it) over `length` bytes. The distances are those of the polynomial, in
 * bytes, ascending, from GROUP to HISTORY.
 */
export function updateCrc(table: usize, ptr: usize, length: usize, crc: u32, a: usize, b: usize, c: usize, d: usize, e: usize): u32 {
  if (length < LONG) return sliceCrc(table, ptr, length, crc);
  const rest = (e + GROUP - 1) & ~(GROUP - 1);
  let left = (length - rest) & ~(GROUP - 1);
  const after = length - rest - left;
  memory.fill(FOLDED, 0, HISTORY);
  store<u32>(CURRENT - e, ~crc); // what came before is added to the first four bytes
  while (left > 0) {
    const size = min(left, BLOCK);
    fold(ptr, size, CURRENT, a, b, c, d, e);
    memory.copy(FOLDED, FOLDED + size, HISTORY);
    ptr += size;
    left -= size;
  }
  memory.fill(CURRENT, 0, rest);
  fold(ptr, rest, REST, a, b, c, d, e);
  return sliceCrc(table, ptr + rest, after, sliceCrc(table, REST, rest, ~0));
}
