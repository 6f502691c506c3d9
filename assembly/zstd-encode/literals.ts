// The literals section of a block (RFC 8878 section 3.1.1.3.1).

import { makeCodeLengths } from "../huffman";
import { increment } from "./counts";
import { CODES, LENGTHS, MAX_BITS, writeTree } from "./huffman-tree";

const RAW: u32 = 0;
const RLE: u32 = 1;
const COMPRESSED: u32 = 2;

// So few are stored as they are.
const MIN_PACKED: u32 = 32;
const ONE_STREAM_BELOW: u32 = 256;
const JUMP_TABLE_BYTES: u32 = 6;
// Packing must save 1/128, which unpacking is worth.
const GAIN_SHIFT: u32 = 7;

// How often each byte occurs in each quarter of the literals, and in all. The quarters give the sizes of the four streams.
const QUARTER_BYTES: usize = 256 * 4;
const QUARTERS: usize = memory.data(4 * 256 * 4, 16);
const COUNTS: usize = memory.data(256 * 4, 16);

/** Writes the section for `size` literals, at most 64 KiB, in at most that and 512 bytes more; returns the place behind it. */
export function writeLiterals(output: usize, literals: usize, size: u32): usize {
  if (size < MIN_PACKED) return writePlain(output, RAW, literals, size);
  const isOne = size < ONE_STREAM_BELOW;
  const quarter = isOne ? size : (size + 3) >> 2;
  countBytes(literals, size, quarter);
  let last: u32 = 255;
  while (!load<u32>(COUNTS + (last << 2))) last--;
  let most: u32 = 0;
  for (let symbol: u32 = 0; symbol <= last; symbol++) most = max(most, load<u32>(COUNTS + (symbol << 2)));
  if (most == size) return writePlain(output, RLE, literals, size);
  // Evenly spread bytes need no closer look.
  if (most < (size >> 7) + 4) return writePlain(output, RAW, literals, size);

  makeCodeLengths(COUNTS, 256, LENGTHS, MAX_BITS);
  const header: usize = size < 1024 ? 3 : size < 16384 ? 4 : 5;
  const streams = writeTree(output + header, last);
  if (!streams) return writePlain(output, RAW, literals, size);
  const bytes0 = streamBytes(QUARTERS);
  const bytes1 = isOne ? 0 : streamBytes(QUARTERS + QUARTER_BYTES);
  const bytes2 = isOne ? 0 : streamBytes(QUARTERS + 2 * QUARTER_BYTES);
  const bytes3 = isOne ? 0 : streamBytes(QUARTERS + 3 * QUARTER_BYTES);
  const end = streams + (isOne ? bytes0 : JUMP_TABLE_BYTES + bytes0 + bytes1 + bytes2 + bytes3);
  const packed = (end - output - header) as u32;
  if (packed + (size >> GAIN_SHIFT) + 2 >= size) return writePlain(output, RAW, literals, size);

  const sizeBits: u64 = size < 1024 ? 10 : size < 16384 ? 14 : 18;
  const format: u32 = isOne ? 0 : size < 1024 ? 1 : size < 16384 ? 2 : 3;
  const fields = ((COMPRESSED | (format << 2) | (size << 4)) as u64) | ((packed as u64) << (4 + sizeBits));
  for (let i: usize = 0; i < header; i++) store<u8>(output + i, (fields >> ((i << 3) as u64)) as u8);
  if (isOne) {
    writeStream(streams, literals, literals + size);
    return end;
  }
  store<u16>(streams, bytes0);
  store<u16>(streams, bytes1, 2);
  store<u16>(streams, bytes2, 4);
  // In order: each may write over the beginning of the next.
  let at = streams + JUMP_TABLE_BYTES;
  writeStream(at, literals, literals + quarter);
  at += bytes0;
  writeStream(at, literals + quarter, literals + 2 * quarter);
  at += bytes1;
  writeStream(at, literals + 2 * quarter, literals + 3 * quarter);
  writeStream(at + bytes2, literals + 3 * quarter, literals + size);
  return end;
}

function writePlain(output: usize, kind: u32, literals: usize, size: u32): usize {
  if (size < 32) {
    store<u8>(output++, kind | (size << 3));
  } else if (size < 4096) {
    store<u16>(output, kind | (1 << 2) | (size << 4));
    output += 2;
  } else {
    store<u32>(output, kind | (3 << 2) | (size << 4));
    output += 3;
  }
  const stored = kind == RLE ? 1 : size;
  memory.copy(output, literals, stored);
  return output + stored;
}

/** The last quarter is what the other three leave. */
function countBytes(literals: usize, size: u32, quarter: u32): void {
  memory.fill(QUARTERS, 0, 4 * QUARTER_BYTES);
  if (quarter == size) {
    for (let i: u32 = 0; i < size; i++) increment(QUARTERS, load<u8>(literals + i));
  } else {
    let at = literals;
    for (const end = literals + (size - 3 * quarter); at < end; at++) {
      countThree(at, quarter);
      increment(QUARTERS + 3 * QUARTER_BYTES, load<u8>(at + 3 * quarter));
    }
    for (const end = literals + quarter; at < end; at++) countThree(at, quarter);
  }
  for (let place: usize = 0; place < QUARTER_BYTES; place += 16) {
    const half = i32x4.add(v128.load(QUARTERS + place), v128.load(QUARTERS + QUARTER_BYTES + place));
    const other = i32x4.add(v128.load(QUARTERS + 2 * QUARTER_BYTES + place), v128.load(QUARTERS + 3 * QUARTER_BYTES + place));
    v128.store(COUNTS + place, i32x4.add(half, other));
  }
}

function countThree(at: usize, quarter: u32): void {
  increment(QUARTERS, load<u8>(at));
  increment(QUARTERS + QUARTER_BYTES, load<u8>(at + quarter));
  increment(QUARTERS + 2 * QUARTER_BYTES, load<u8>(at + 2 * quarter));
}

/** With the 1 that ends it. */
function streamBytes(counts: usize): u32 {
  let bits: u32 = 0;
  for (let symbol: u32 = 0; symbol < 256; symbol++) bits += load<u32>(counts + (symbol << 2)) * (load<u8>(LENGTHS + symbol) as u32);
  return (bits >> 3) + 1;
}

/**
 * Writes one stream, which is read backwards, and up to seven bytes behind it. New codes come into the uppermost bits. Shifts take
 * their lowest six bits, which are the lengths.
 */
function writeStream(output: usize, literals: usize, end: usize): void {
  let bits: u64 = 0;
  let held: u64 = 0;
  while (end - literals >= 4) {
    end -= 4;
    const four = load<u32>(end);
    const code3 = load<u64>((four >> 24) << 3, CODES);
    const code2 = load<u64>(((four >> 16) & 0xff) << 3, CODES);
    const code1 = load<u64>(((four >> 8) & 0xff) << 3, CODES);
    const code0 = load<u64>((four & 0xff) << 3, CODES);
    bits = (bits >> code3) | (code3 & ~15);
    bits = (bits >> code2) | (code2 & ~15);
    bits = (bits >> code1) | (code1 & ~15);
    bits = (bits >> code0) | (code0 & ~15);
    held += (code3 & 15) + (code2 & 15) + (code1 & 15) + (code0 & 15);
    store<u64>(output, bits >> (64 - held));
    output += (held >> 3) as usize;
    held &= 7;
  }
  while (end > literals) {
    const code = load<u64>((load<u8>(--end) as u32) << 3, CODES);
    bits = (bits >> code) | (code & ~15);
    held += code & 15;
  }
  bits = (bits >> 1) | (1 << 63);
  store<u64>(output, bits >> (63 - held));
}
