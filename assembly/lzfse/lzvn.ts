// LZVN: byte codes, each with up to three literals and a match, or a run of literals, or a match.

import { copyMatch } from "../match-copy";
import { ERROR_INPUT, ERROR_OUTPUT, ERROR_STREAM } from "./format";

const END_BYTES: usize = 8; // the end mark fills this

/**
 * Decodes the payload of a block, which must fill output..blockEnd and end with its end mark. Matches reach back to `first`.
 *
 *   LLMMMDDD D8            D below 1536; L and M + 3 everywhere, as are the literals behind a code
 *   LLMMM110               the distance of the code before; 00000110: end; 0000x110 with x = 1, 00010110: nothing
 *   LLMMM111 D16
 *   101LLMMM MM at 0, D14  the lower bits of M in a word of 16 bits
 *   1110LLLL               literals only; 0: L + 16 in the next byte
 *   1111MMMM               a match only, of M, at the distance before; 0: M + 16 in the next byte
 */
export function decodeLzvn(payload: usize, length: usize, output: usize, blockEnd: usize, first: usize): i32 {
  let input = payload;
  const end = payload + length;
  let distance: usize = 0;
  while (input < end) {
    const code = load<u8>(input) as usize;
    // Up to two more bytes of a code; the slack lets them be read before they are known to be there.
    const next = load<u8>(input, 1) as usize;
    const word = load<u16>(input, 1) as usize;
    let size: usize = 1;
    let literals: usize = 0;
    let match: usize = 0;
    if ((code & 0xe0) == 0xa0) {
      size = 3;
      literals = (code >> 3) & 3;
      match = (((code & 7) << 2) | (word & 3)) + 3;
      distance = word >> 2;
    } else if (code >= 0xe0) {
      let count = code & 15;
      if (!count) {
        size = 2;
        count = next + 16;
      }
      if (code < 0xf0) literals = count;
      else match = count;
    } else {
      if ((code & 0xf0) == 0x70 || (code & 0xf0) == 0xd0) return ERROR_STREAM;
      literals = code >> 6;
      match = ((code >> 3) & 7) + 3;
      const low = code & 7;
      if (low == 7) {
        size = 3;
        distance = word;
      } else if (low < 6) {
        size = 2;
        distance = (low << 8) | next;
      } else if (!literals) {
        if (code == 0x06) return input + END_BYTES == end && output == blockEnd ? 0 : ERROR_STREAM;
        if (code != 0x0e && code != 0x16) return ERROR_STREAM;
        match = 0;
      }
    }
    input += size;
    if (input > end || literals > end - input) return ERROR_INPUT;
    if (literals + match > blockEnd - output) return ERROR_OUTPUT;
    if (match && (!distance || distance > output + literals - first)) return ERROR_STREAM;
    memory.copy(output, input, literals);
    input += literals;
    output += literals;
    if (match) copyMatch(output, output - distance, output + match);
    output += match;
  }
  return ERROR_INPUT;
}
