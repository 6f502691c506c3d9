// Finite state entropy (a form of ANS): decoding tables, and the bits, which are read from the end of a stream to its start.

// Entries of the two kinds of tables. A code with n states reads `bits` bits, which added to `delta` make the next state.
//   literals, 32 bits   bits at 0, symbol at 8, delta (signed) at 16
//   values, 64 bits     bits including the value's extra ones at 0, extra bits at 8, delta (signed) at 16, base of the value at 32

/**
 * Fills a table of literals from `count` frequencies (u16 each). False unless they add up to the number of states, or
 * to nothing: `used` tells whether anything is coded with it.
 */
export function buildLiteralTable(table: usize, states: u32, frequencies: usize, count: u32, used: bool): bool {
  if (!addUp(states, frequencies, count, used)) return false;
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const frequency = load<u16>(frequencies + (symbol << 1)) as i32;
    for (let i: i32 = 0; i < frequency; i++) {
      const entry = transition(states, frequency, i);
      store<u32>(table, (entry << 16) | (symbol << 8) | (entry >>> 16));
      table += 4;
    }
  }
  return true;
}

/** The same for values: `extra` holds the extra bits of each symbol (u8). */
export function buildValueTable(table: usize, states: u32, frequencies: usize, count: u32, extra: usize, used: bool): bool {
  if (!addUp(states, frequencies, count, used)) return false;
  let base: u32 = 0;
  for (let symbol: u32 = 0; symbol < count; symbol++) {
    const frequency = load<u16>(frequencies + (symbol << 1)) as i32;
    const extraBits = load<u8>(extra + symbol) as u32;
    for (let i: i32 = 0; i < frequency; i++) {
      const entry = transition(states, frequency, i);
      store<u32>(table, (entry << 16) | (extraBits << 8) | ((entry >>> 16) + extraBits));
      store<u32>(table, base, 4);
      table += 8;
    }
    base += 1 << extraBits;
  }
  return true;
}

function addUp(states: u32, frequencies: usize, count: u32, used: bool): bool {
  let sum: u32 = 0;
  for (let symbol: u32 = 0; symbol < count; symbol++) sum += load<u16>(frequencies + (symbol << 1));
  return sum == states || (sum == 0 && !used);
}

/**
 * State number `i` of the `frequency` states of a symbol: bits << 16 | delta (16 bits). The symbol's states share all of the states
 * between them in ranges of a power of two: the first ones get the larger ranges.
 */
function transition(states: u32, frequency: i32, i: i32): u32 {
  const bits = (clz<u32>(frequency) - clz<u32>(states)) as i32;
  const large = (((2 * states) >> bits) as i32) - frequency;
  if (i < large) return (bits << 16) | ((((frequency + i) << bits) - (states as i32)) & 0xffff);
  return ((bits - 1) << 16) | ((i - large) << (bits - 1));
}

/** `count` (at most 32) bits of the stream at `stream`, from bit `at` on; reads up to 8 bytes from there. */
export function bitsAt(stream: usize, at: i32, count: u32): u32 {
  return ((load<u64>(stream + (at >> 3)) >> ((at & 7) as u64)) & ((1 << (count as u64)) - 1)) as u32;
}
