// Raw DEFLATE decoder (RFC 1951) for whole streams. Its memory contract is that of inflate-blocks.ts.

import { TYPE_DYNAMIC, TYPE_FIXED, TYPE_STORED } from "./deflate-format";
import { alignInput, moveInput, refill, startInput, takeBits, usedInput } from "./inflate-bits";
import {
  BLOCK_DONE,
  decodeSymbols,
  ERROR_INPUT,
  ERROR_STREAM,
  hasFarDistances,
  moveOutput,
  outputPlace,
  prepare,
  prepareFixedTables,
  readDynamicTables,
  startOutput,
} from "./inflate-blocks";

const ERROR_OUTPUT: i32 = -2; // the stream holds more than the output has room for

let mayReachFar: bool = false;
let inputStart: usize = 0;
let inputEnd: usize = 0;
let outputStart: usize = 0;
let outputEnd: usize = 0;

/**
 * Decodes one raw DEFLATE stream of at most srcLen bytes into at most dstLen bytes.
 * Returns the number of bytes produced, or ERROR_STREAM, ERROR_OUTPUT, ERROR_INPUT. Bytes after the final block are
 * left alone; inflateConsumed tells where they start. When several errors apply, ERROR_INPUT wins: whatever was decoded
 * from beyond the end means nothing.
 */
export function inflate(src: usize, srcLen: i32, dst: usize, dstLen: i32): i32 {
  prepare();
  mayReachFar = false;
  inputStart = src;
  inputEnd = src + srcLen;
  outputStart = dst;
  outputEnd = dst + dstLen;
  startInput(src, inputEnd, 0, 0);
  startOutput(dst, dst);

  let isFinal: u32 = 0;
  while (!isFinal) {
    if (!refill()) return ERROR_INPUT;
    isFinal = takeBits(1);
    const status = decodeBlock(takeBits(2));
    if (usedInput() > inputEnd) return ERROR_INPUT;
    if (status < 0) return status;
    if (outputPlace() > outputEnd) return ERROR_OUTPUT;
  }
  return (outputPlace() - outputStart) as i32;
}

/** Input bytes that the last call of inflate used, the last one perhaps in part. */
export function inflateConsumed(): i32 {
  return (min(usedInput(), inputEnd) - inputStart) as i32;
}

/** 1 if a match of the last stream may have reached back farther than 4096 bytes. */
export function inflateReachesFar(): i32 {
  return i32(mayReachFar);
}

/** A block that paused went beyond the input or the output, which the caller checks. */
function decodeBlock(blockType: u32): i32 {
  if (blockType == TYPE_STORED) return copyStored();
  if (blockType == TYPE_FIXED) {
    prepareFixedTables();
    mayReachFar = true;
    return decodeSymbols(inputEnd, outputEnd);
  }
  if (blockType == TYPE_DYNAMIC) {
    const status = readDynamicTables();
    if (status < 0) return status;
    mayReachFar = mayReachFar || hasFarDistances();
    return decodeSymbols(inputEnd, outputEnd);
  }
  return ERROR_STREAM;
}

/** RFC 1951 §3.2.4. */
function copyStored(): i32 {
  const input = alignInput();
  const output = outputPlace();
  if (input + 4 > inputEnd) {
    moveInput(inputEnd + 1);
    return ERROR_INPUT;
  }
  const length = load<u16>(input) as u32;
  const complement = load<u16>(input, 2) as u32;
  moveInput(input + 4);
  if (length != (complement ^ 0xffff)) return ERROR_STREAM;
  if (input + 4 + length > inputEnd) return ERROR_INPUT;
  if (output + length > outputEnd) return ERROR_OUTPUT;
  memory.copy(output, input + 4, length);
  moveInput(input + 4 + length);
  moveOutput(output + length);
  return BLOCK_DONE;
}
