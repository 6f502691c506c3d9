// What SHA-1 and SHA-256 have in common (FIPS 180-4): the end of a message, and the digest's byte order.

export const BLOCK: usize = 64;

/** The last blocks of a message that was padded. */
export const LAST_BLOCKS: usize = memory.data(128, 16);

/** Section 5.1.1: the last `length` (0 to 63) bytes of a message of `total` bytes, padded → LAST_BLOCKS; how many blocks. */
export function padMessage(ptr: usize, length: usize, total: f64): i32 {
  const size: usize = length < 56 ? 64 : 128;
  memory.fill(LAST_BLOCKS, 0, size);
  memory.copy(LAST_BLOCKS, ptr, length);
  store<u8>(LAST_BLOCKS + length, 0x80);
  store<u64>(LAST_BLOCKS + size - 8, bswap((<u64>total) << 3));
  return <i32>(size / BLOCK);
}

/** The words of a state, `bytes` in all, as a digest. */
export function storeDigest(state: usize, bytes: usize, out: usize): void {
  for (let at: usize = 0; at < bytes; at += 4) store<u32>(out + at, bswap(load<u32>(state + at)));
}
