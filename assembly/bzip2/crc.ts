// CRC-32 as bzip2 has it: of the same polynomial as CRC-32 of RFC 1952, highest bit first, by slicing: 8 tables, table k
// advances a byte over k further zero bytes.

const POLYNOMIAL: u32 = 0x04c11db7;
const SLICES: usize = 8;
const TABLE: usize = memory.data(8 * 256 * 4, 16);
let ready: bool = false;

function entry(slice: usize, byte: u32): u32 {
  return load<u32>(TABLE + slice * 1024 + (byte << 2));
}

function fillTables(): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
    store<u32>(TABLE + (byte << 2), crc);
  }
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = entry(0, byte);
    for (let slice: usize = 1; slice < SLICES; slice++) {
      crc = (crc << 8) ^ entry(0, crc >>> 24);
      store<u32>(TABLE + slice * 1024 + (byte << 2), crc);
    }
  }
  ready = true;
}

/** Continues `crc` (0: nothing yet) over `length` bytes. */
export function updateCrc(crc: u32, at: usize, length: usize): u32 {
  if (!ready) fillTables();
  const end = at + length;
  const wide = at + (length & ~7);
  crc = ~crc;
  for (; at < wide; at += 8) {
    const high = bswap(load<u32>(at)) ^ crc;
    crc =
      entry(7, high >>> 24) ^
      entry(6, (high >>> 16) & 255) ^
      entry(5, (high >>> 8) & 255) ^
      entry(4, high & 255) ^
      entry(3, load<u8>(at, 4)) ^
      entry(2, load<u8>(at, 5)) ^
      entry(1, load<u8>(at, 6)) ^
      entry(0, load<u8>(at, 7));
  }
  for (; at < end; at++) crc = (crc << 8) ^ entry(0, (crc >>> 24) ^ load<u8>(at));
  return ~crc;
}
