// Reflected CRC-32 by slicing: 16 tables, table k advances a byte over k further zero bytes
// (Kounavis, Berry: "Novel Table Lookup-Based Algorithms for High-Performance CRC Generation").

const SLICES: usize = 16;
export const TABLE_BYTES: i32 = 16 * 256 * 4;

/** Fills `table` (TABLE_BYTES) for the reflected polynomial. */
export function fillTables(table: usize, polynomial: u32): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    store<u32>(table + byte * 4, crc);
  }
  for (let byte: usize = 0; byte < 256; byte++) {
    let crc = load<u32>(table + byte * 4);
    for (let slice: usize = 1; slice < SLICES; slice++) {
      crc = (crc >>> 8) ^ load<u32>(table + (crc & 255) * 4);
      store<u32>(table + slice * 1024 + byte * 4, crc);
    }
  }
}

/** The four bytes of `word`, the first of which is followed by `after` + 3 bytes of the step. */
function four(table: usize, word: u32, after: usize): u32 {
  const slice = table + after * 1024;
  return (
    load<u32>(slice + (word & 255) * 4, 3 * 1024) ^
    load<u32>(slice + ((word >>> 8) & 255) * 4, 2 * 1024) ^
    load<u32>(slice + ((word >>> 16) & 255) * 4, 1024) ^
    load<u32>(slice + (word >>> 24) * 4)
  );
}

/** Continues `crc` (not inverted, as callers see it) over `length` bytes. */
export function updateCrc(table: usize, ptr: usize, length: usize, crc: u32): u32 {
  const end = ptr + length;
  const wide = ptr + (length & ~15);
  crc = ~crc;
  while (ptr < wide) {
    crc =
      four(table, load<u32>(ptr) ^ crc, 12) ^
      four(table, load<u32>(ptr, 4), 8) ^
      four(table, load<u32>(ptr, 8), 4) ^
      four(table, load<u32>(ptr, 12), 0);
    ptr += 16;
  }
  while (ptr < end) {
    crc = (crc >>> 8) ^ load<u32>(table + ((crc ^ load<u8>(ptr)) & 255) * 4);
    ptr++;
  }
  return ~crc;
}
