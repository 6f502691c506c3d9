// Decoder of LZFSE streams: blocks of four kinds, each with a magic number, up to the end mark.
//
// Up to 16 bytes after the input may be read, their values never matter; up to 32 bytes after the output may be written with
// scratch bytes.

import { preparePatterns } from "../match-copy";
import { ERROR_INPUT, ERROR_OUTPUT, HEADER1_BYTES, HEADER2_BYTES } from "./format";
import { decodeLmd, readHeader1, readHeader2 } from "./lmd";
import { decodeLzvn } from "./lzvn";

const ERROR_MAGIC: i32 = -4; // no block begins here

const END_OF_STREAM: u32 = 0x24787662; // bvx$
const UNCOMPRESSED: u32 = 0x2d787662; // bvx-
const LZVN: u32 = 0x6e787662; // bvxn
const COMPRESSED1: u32 = 0x31787662; // bvx1: frequencies as they are
const COMPRESSED2: u32 = 0x32787662; // bvx2: frequencies packed

const UNCOMPRESSED_HEADER_BYTES: usize = 8; // magic, n_raw_bytes
const LZVN_HEADER_BYTES: usize = 12; // magic, n_raw_bytes, n_payload_bytes

let patternsReady: bool = false;
let blockPlace: usize = 0;

/**
 * Decodes a stream of at most `length` bytes into at most `room` bytes. Returns how many there were, or ERROR_STREAM,
 * ERROR_OUTPUT (it holds more), ERROR_INPUT (it ends too soon), ERROR_MAGIC. Bytes after the end mark are left alone.
 */
export function lzfse(from: usize, length: i32, to: usize, room: i32): i32 {
  if (!patternsReady) preparePatterns();
  patternsReady = true;
  const end = from + length;
  const outputEnd = to + room;
  let output = to;
  let input = from;
  while (true) {
    blockPlace = input;
    const left = end - input;
    if (left < 4) return ERROR_INPUT;
    const magic = load<u32>(input);
    if (magic == END_OF_STREAM) return (output - to) as i32;
    if (magic != UNCOMPRESSED && magic != LZVN && magic != COMPRESSED1 && magic != COMPRESSED2) return ERROR_MAGIC;
    if (left < 8) return ERROR_INPUT;
    const raw = load<u32>(input, 4) as usize; // n_raw_bytes
    if (raw > outputEnd - output) return ERROR_OUTPUT;
    const blockEnd = output + raw;
    let status: i32;
    let header: usize;
    let payload: usize;
    if (magic == UNCOMPRESSED) {
      header = UNCOMPRESSED_HEADER_BYTES;
      payload = raw;
      if (payload > left - header) return ERROR_INPUT;
      memory.copy(output, input + header, raw);
    } else if (magic == LZVN) {
      header = LZVN_HEADER_BYTES;
      if (left < header) return ERROR_INPUT;
      payload = load<u32>(input, 8);
      if (payload > left - header) return ERROR_INPUT;
      status = decodeLzvn(input + header, payload, output, blockEnd, to);
      if (status < 0) return status;
    } else {
      if (left < (magic == COMPRESSED1 ? HEADER1_BYTES : HEADER2_BYTES)) return ERROR_INPUT;
      status = magic == COMPRESSED1 ? readHeader1(input) : readHeader2(input, left);
      if (status < 0) return status;
      header = status;
      status = decodeLmd(input + header, left - header, output, blockEnd, to);
      if (status < 0) return status;
      payload = status;
    }
    input += header + payload;
    output = blockEnd;
  }
}

/** Place of the block that the last call stopped at. */
export function lzfsePlace(): usize {
  return blockPlace;
}

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
