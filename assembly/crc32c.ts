import { fillTables, TABLE_BYTES, updateCrc } from "./crc-slices";

/** CRC-32C (Castagnoli; RFC 3720 section 12.1), reflected. */
const POLYNOMIAL: u32 = 0x82f63b78;
const TABLE: usize = memory.data(TABLE_BYTES, 16);
let ready: bool = false;

/** `seed`: 0, or the CRC of the bytes before. */
export function crc32c(ptr: usize, length: usize, seed: u32): u32 {
  if (!ready) {
    fillTables(TABLE, POLYNOMIAL);
    ready = true;
  }
  return updateCrc(TABLE, ptr, length, seed, 65 * 16, 155 * 16, 170 * 16, 195 * 16, 209 * 16);
}
