// Encoder of Zstandard frames (RFC 8878) for single units of up to 2 MiB: a frame states its content size, which is its window too.
//
// Up to 16 bytes before and behind the input may be read, their values never matter. The output needs `zstdRoom` bytes: what is
// written behind the frame is scratch. A frame depends on nothing but its unit.

import { prepareCosts } from "./fse";
import { writeLiterals } from "./literals";
import { BLOCK_BYTES, findMatches, forgetMatches, LITERALS, literalsEnd, startMatches } from "./matches";
import { prepareSequences, writeSequences } from "./sequences";

const MAGIC: u32 = 0xfd2fb528;
const SINGLE_SEGMENT: u32 = 1 << 5;
const BLOCK_HEADER_BYTES: usize = 3;
const HEADER_MAX: u32 = 9;
const SCRATCH: u32 = 1024;

// Section 3.1.1.2.2. RLE_Block is not used: the zstd program up to 1.4.3 refuses it as the first of a frame, and a compressed block of
// one byte repeated takes about 12 bytes.
const RAW: u32 = 0;
const COMPRESSED: u32 = 2;

let ready: bool = false;

/** Bytes that `zstdEncode` may write for a unit of `length` bytes; the frame itself takes SCRATCH less. */
export function zstdRoom(length: u32): u32 {
  return HEADER_MAX + length + (length / BLOCK_BYTES + 1) * (BLOCK_HEADER_BYTES as u32) + SCRATCH;
}

/** The unit at `input` → one frame at `output`: its bytes. */
export function zstdEncode(input: usize, length: u32, output: usize): i32 {
  if (!ready) {
    prepareCosts();
    prepareSequences();
    ready = true;
  }
  const start = output;
  const end = input + length;
  output = writeHeader(output, length);
  startMatches(input, end);
  do {
    const blockEnd = min(input + BLOCK_BYTES, end);
    output = writeBlock(input, blockEnd, output, blockEnd == end);
    input = blockEnd;
  } while (input < end);
  return (output - start) as i32;
}

/** Section 3.1.1.1. */
function writeHeader(output: usize, length: u32): usize {
  const flag: u32 = length < 256 ? 0 : length < 65536 + 256 ? 1 : 2;
  store<u32>(output, MAGIC);
  store<u8>(output, (flag << 6) | SINGLE_SEGMENT, 4);
  store<u32>(output, flag == 1 ? length - 256 : length, 5);
  return output + 5 + (1 << flag);
}

/** Section 3.1.1.2. A block that does not shrink is stored. */
function writeBlock(input: usize, inputEnd: usize, output: usize, isLast: bool): usize {
  const content = output + BLOCK_HEADER_BYTES;
  const stored = content + (inputEnd - input);
  findMatches(input, inputEnd);
  let end = writeLiterals(content, LITERALS, (literalsEnd - LITERALS) as u32);
  if (end < stored) end = writeSequences(end, stored);
  let kind = COMPRESSED;
  if (!end || end >= stored) {
    forgetMatches();
    memory.copy(content, input, inputEnd - input);
    kind = RAW;
    end = stored;
  }
  const header = u32(isLast) | (kind << 1) | (((end - content) as u32) << 3);
  store<u16>(output, header);
  store<u8>(output, header >> 16, 2);
  return end;
}

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
