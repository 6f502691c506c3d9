// Decoder of Zstandard blocks (RFC 8878 section 3.1.1.3), one whole block at a time, and XXH64 for Content_Checksum.
//
// SLACK bytes before and behind the input, behind the literals, behind the history and behind its older part may be read, their values
// never matter; behind the literals and the block they may be written with scratch bytes. All that a frame carries from block to
// block, but for the history, lies in STATE.

import { literalsAt, literalsEnd, readLiterals, sectionEnd } from "./literals";
import { prepareSequences, readSequences } from "./sequences";
import { HASH, STATE, STATE_BYTES, startFrame } from "./state";
import { xxh64Final, xxh64Start, xxh64Update } from "./xxh64";

export { zstdHistory } from "./sequences";

const SLACK: i32 = 64;

let ready: bool = false;

export function zstdState(): usize {
  return STATE;
}
export function zstdStateBytes(): i32 {
  return STATE_BYTES as i32;
}
export function zstdSlack(): i32 {
  return SLACK;
}

/** A frame begins. Also before a state is put back. */
export function zstdStart(): void {
  if (!ready) prepareSequences();
  ready = true;
  startFrame();
  xxh64Start(STATE + HASH);
}

/**
 * Decodes the Compressed_Block of `length` bytes at `input` to `output`: bytes made, at most `limit`, or one of the errors of state.ts.
 * `literals`: room for `limit` bytes. After an error the frame cannot go on.
 */
export function zstdBlock(input: usize, length: usize, literals: usize, output: usize, limit: u32): i32 {
  const status = readLiterals(input, input + length, literals, limit);
  if (status < 0) return status;
  return readSequences(sectionEnd, input + length, literalsAt, literalsEnd, output, limit);
}

/** Goes on with the hash of the frame's content. */
export function zstdHash(at: usize, length: usize): void {
  xxh64Update(STATE + HASH, at, length);
}
/** Section 3.1.1: the lower half of that hash. */
export function zstdChecksum(): u32 {
  return xxh64Final(STATE + HASH) as u32;
}

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
