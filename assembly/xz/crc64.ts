// CRC-64 of ECMA-182, reflected (the .xz file format, section 6), by slicing: 8 tables, table k advances a byte over k further
// zero bytes.

const POLYNOMIAL: u64 = (0xc96c5795 << 32) | 0xd7870f42;
const SLICES: usize = 8;
const TABLE: usize = memory.data(8 * 256 * 8, 16);
let ready: bool = false;

function fillTables(): void {
  for (let byte: u64 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    store<u64>(TABLE + ((byte as usize) << 3), crc);
  }
  for (let byte: usize = 0; byte < 256; byte++) {
    let crc = load<u64>(TABLE + (byte << 3));
    for (let slice: usize = 1; slice < SLICES; slice++) {
      crc = (crc >>> 8) ^ entry(0, crc);
      store<u64>(TABLE + slice * 2048 + (byte << 3), crc);
    }
  }
  ready = true;
}

function entry(slice: usize, value: u64): u64 {
  return load<u64>(TABLE + slice * 2048 + (((value as usize) & 255) << 3));
}

/** Continues the CRC in the 8 bytes at `sum` (0: nothing yet) over `length` bytes. */
export function crc64(sum: usize, ptr: usize, length: usize): void {
  if (!ready) fillTables();
  let crc = ~load<u64>(sum);
  const end = ptr + length;
  const wide = ptr + (length & ~7);
  for (; ptr < wide; ptr += 8) {
    crc ^= load<u64>(ptr);
    crc =
      entry(7, crc) ^
      entry(6, crc >>> 8) ^
      entry(5, crc >>> 16) ^
      entry(4, crc >>> 24) ^
      entry(3, crc >>> 32) ^
      entry(2, crc >>> 40) ^
      entry(1, crc >>> 48) ^
      entry(0, crc >>> 56);
  }
  for (; ptr < end; ptr++) crc = (crc >>> 8) ^ entry(0, crc ^ load<u8>(ptr));
  store<u64>(sum, ~crc);
}
