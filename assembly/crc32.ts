import { fillTables, TABLE_BYTES, updateCrc } from "./crc-slices";

/** CRC-32 of ISO-HDLC (RFC 1952 section 8), reflected. */
const POLYNOMIAL: u32 = 0xedb88320;
const TABLE: usize = memory.data(TABLE_BYTES, 16);
let ready: bool = false;

/** `seed`: 0, or the CRC of the bytes before. */
export function crc32(ptr: usize, length: usize, seed: u32): u32 {
  if (!ready) {
    fillTables(TABLE, POLYNOMIAL);
    ready = true;
  }
  return updateCrc(TABLE, ptr, length, seed, 17 * 16, 80 * 16, 118 * 16, 124 * 16, 203 * 16);
}
