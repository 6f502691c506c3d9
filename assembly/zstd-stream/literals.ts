// The literals section of a block (RFC 8878 section 3.1.1.3.1).

import { readFourStreams, readHuffmanTable, readStream } from "./huffman";
import { ERROR_HUFFMAN_STREAM, ERROR_HUFFMAN_TREE, ERROR_LITERALS_HEADER, ERROR_SIZE, HUFFMAN_BITS, STATE } from "./state";

const RAW: u32 = 0;
const RLE: u32 = 1;
const COMPRESSED: u32 = 2;

/** Where the literals lie: in the input, or in the room for them. */
export let literalsAt: usize = 0;
export let literalsEnd: usize = 0;
/** The place behind the section. */
export let sectionEnd: usize = 0;

/** Reads the section at `input`; it may use `room` for at most `limit` literals and a few bytes more. Returns 0 or an error. */
export function readLiterals(input: usize, end: usize, room: usize, limit: u32): i32 {
  if (input >= end) return ERROR_LITERALS_HEADER;
  const header = load<u64>(input);
  const kind = (header as u32) & 3;
  const format = ((header as u32) >> 2) & 3;
  return kind == RAW || kind == RLE
    ? readPlain(input, end, kind, format, header as u32, room, limit)
    : readHuffman(input, end, kind, format, header, room, limit);
}

function readPlain(input: usize, end: usize, kind: u32, format: u32, header: u32, room: usize, limit: u32): i32 {
  const long = format == 3;
  const at = input + (format == 1 ? 2 : long ? 3 : 1);
  const size = format == 1 ? (header & 0xffff) >> 4 : long ? (header & 0xffffff) >> 4 : (header & 0xff) >> 3;
  if (size > limit) return ERROR_SIZE;
  const stored = kind == RAW ? size : 1;
  if (at + stored > end) return ERROR_LITERALS_HEADER;
  if (kind == RAW) {
    literalsAt = at;
  } else {
    memory.fill(room, load<u8>(at), size);
    literalsAt = room;
  }
  literalsEnd = literalsAt + size;
  sectionEnd = at + stored;
  return 0;
}

function readHuffman(input: usize, end: usize, kind: u32, format: u32, header: u64, room: usize, limit: u32): i32 {
  const sizeBits: u64 = format < 2 ? 10 : format == 2 ? 14 : 18;
  const sizeMask: u64 = ((1 as u64) << sizeBits) - 1;
  const size = ((header >> 4) & sizeMask) as u32;
  const stored = ((header >> (4 + sizeBits)) & sizeMask) as usize;
  let at = input + (format < 2 ? 3 : format == 2 ? 4 : 5);
  if (size > limit) return ERROR_SIZE;
  if (at + stored > end) return ERROR_LITERALS_HEADER;
  sectionEnd = at + stored;
  literalsAt = room;
  literalsEnd = room + size;
  if (kind == COMPRESSED) {
    at = readHuffmanTable(at, sectionEnd);
    if (!at) return ERROR_HUFFMAN_TREE;
  } else if (!load<u32>(STATE, HUFFMAN_BITS)) {
    return ERROR_HUFFMAN_TREE;
  }
  const good = format == 0 ? readStream(at, sectionEnd, literalsAt, literalsEnd) : readFourStreams(at, sectionEnd, literalsAt, literalsEnd);
  return good ? 0 : ERROR_HUFFMAN_STREAM;
}
