// The bits of a DEFLATE stream (RFC 1951 §3.1.1). Up to 16 bytes after the input may be read; their values never matter, as
// the bits that were really used are counted.

// The bit buffer holds the next bits of the stream, lowest first (RFC 1951 §3.1.1); bitCount of them are
// counted, those above are either zero or already right, so loading the same bytes again does no harm.
export let bitBuffer: u64 = 0;
export let bitCount: u64 = 0;
export let inputAt: usize = 0;
let inputEnd: usize = 0;

let markedBuffer: u64 = 0;
let markedCount: u64 = 0;
let markedInput: usize = 0;

/** The input is from..end, after `count` bits (at most 7) that are left in `bits` of the byte before. */
export function startInput(from: usize, end: usize, bits: u32, count: u32): void {
  inputAt = from;
  inputEnd = end;
  bitBuffer = bits as u64;
  bitCount = count as u64;
}

/** What the symbol loop, which keeps these in locals, leaves behind. */
export function storeBits(buffer: u64, count: u64, at: usize): void {
  bitBuffer = buffer;
  bitCount = count;
  inputAt = at;
}

/** Where `rewind` goes back to. */
export function mark(): void {
  markedBuffer = bitBuffer;
  markedCount = bitCount;
  markedInput = inputAt;
}
export function rewind(): void {
  bitBuffer = markedBuffer;
  bitCount = markedCount;
  inputAt = markedInput;
}

/** First input byte of which no bit was used. */
export function usedInput(): usize {
  return (inputAt - (bitCount >> 3)) as usize;
}

/** The bits that are left of the last byte used, in the low bits; `leftoverCount` tells how many. */
export function leftoverBits(): u32 {
  return (bitBuffer & ((1 << (bitCount & 7)) - 1)) as u32;
}
export function leftoverCount(): u32 {
  return (bitCount & 7) as u32;
}

/** Drops what is left of the last byte used; returns the place of the next. */
export function alignInput(): usize {
  moveInput(usedInput());
  return inputAt;
}
/** Goes on at a whole byte. */
export function moveInput(at: usize): void {
  inputAt = at;
  bitBuffer = 0;
  bitCount = 0;
}

/** Brings the bit buffer to at least 56 bits. False if bits beyond the end were already used. */
export function refill(): bool {
  // Not beyond the end means inputAt <= inputEnd + 7, so the load stays inside 15 bytes of slack.
  if (usedInput() > inputEnd) return false;
  bitBuffer |= load<u64>(inputAt) << bitCount;
  inputAt += ((63 - bitCount) >> 3) as usize;
  bitCount |= 56;
  return true;
}

export function takeBits(count: u32): u32 {
  const value = (bitBuffer & ((1 << (count as u64)) - 1)) as u32;
  bitBuffer >>= count as u64;
  bitCount -= count as u64;
  return value;
}
