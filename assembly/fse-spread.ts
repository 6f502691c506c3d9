/**
 * RFC 8878 section 4.1.1, "From normalized distribution to decoding tables": which symbol each of the 2^log states gives, as bytes at
 * `symbols`, from `count` probabilities (i16; -1: less than one), which add up.
 */
export function spreadSymbols(symbols: usize, probabilities: usize, count: u32, log: u32): void {
  const states: u32 = 1 << log;
  const mask = states - 1;
  let high = mask;
  for (let symbol: u32 = 0; symbol < count; symbol++) if (load<i16>(probabilities + (symbol << 1)) < 0) store<u8>(symbols + high--, symbol);
  const step = (states >> 1) + (states >> 3) + 3;
  let place: u32 = 0;
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    for (let left = load<i16>(probabilities + (symbol << 1)) as i32; left > 0; left--) {
      store<u8>(symbols + place, symbol);
      do {
        place = (place + step) & mask;
      } while (place > high);
    }
  }
}
