// XXH32 (xxHash specification 0.1.1), running. Its state is STATE_BYTES of memory:
// four accumulators, bytes so far u64, bytes held u32, the held bytes (up to 15).

export const XXH32_STATE_BYTES: usize = 48;

const PRIME1: u32 = 0x9e3779b1;
const PRIME2: u32 = 0x85ebca77;
const PRIME3: u32 = 0xc2b2ae3d;
const PRIME4: u32 = 0x27d4eb2f;
const PRIME5: u32 = 0x165667b1;
const STRIPE: usize = 16;
const TOTAL: usize = 16;
const HELD: usize = 24;
const REST: usize = 28;

/** Step 1, with seed 0. */
export function xxh32Start(state: usize): void {
  store<u32>(state, PRIME1 + PRIME2);
  store<u32>(state, PRIME2, 4);
  store<u32>(state, 0, 8);
  store<u32>(state, 0 - PRIME1, 12);
  store<u64>(state, 0, TOTAL);
  store<u32>(state, 0, HELD);
}

function round(accumulator: u32, lane: u32): u32 {
  return rotl<u32>(accumulator + lane * PRIME2, 13) * PRIME1;
}

/** Step 2: whole stripes. */
function stripes(state: usize, at: usize, end: usize): void {
  let a = load<u32>(state);
  let b = load<u32>(state, 4);
  let c = load<u32>(state, 8);
  let d = load<u32>(state, 12);
  for (; at < end; at += STRIPE) {
    a = round(a, load<u32>(at));
    b = round(b, load<u32>(at, 4));
    c = round(c, load<u32>(at, 8));
    d = round(d, load<u32>(at, 12));
  }
  store<u32>(state, a);
  store<u32>(state, b, 4);
  store<u32>(state, c, 8);
  store<u32>(state, d, 12);
}

export function xxh32Update(state: usize, at: usize, length: usize): void {
  const end = at + length;
  store<u64>(state, load<u64>(state, TOTAL) + (length as u64), TOTAL);
  const held = load<u32>(state, HELD) as usize;
  if (held) {
    const part = min(STRIPE - held, length);
    memory.copy(state + REST + held, at, part);
    at += part;
    store<u32>(state, (held + part) as u32, HELD);
    if (held + part < STRIPE) return;
    stripes(state, state + REST, state + REST + STRIPE);
  }
  const rest = (end - at) & (STRIPE - 1);
  stripes(state, at, end - rest);
  memory.copy(state + REST, end - rest, rest);
  store<u32>(state, rest as u32, HELD);
}

/** Steps 3 to 7. The state stays as it is. */
export function xxh32Final(state: usize): u32 {
  const total = load<u64>(state, TOTAL);
  let hash =
    total < STRIPE
      ? PRIME5
      : rotl<u32>(load<u32>(state), 1) +
        rotl<u32>(load<u32>(state, 4), 7) +
        rotl<u32>(load<u32>(state, 8), 12) +
        rotl<u32>(load<u32>(state, 12), 18);
  hash += total as u32;
  let at = state + REST;
  const end = at + (load<u32>(state, HELD) as usize);
  for (; at + 4 <= end; at += 4) hash = rotl<u32>(hash + load<u32>(at) * PRIME3, 17) * PRIME4;
  for (; at < end; at++) hash = rotl<u32>(hash + (load<u8>(at) as u32) * PRIME5, 11) * PRIME1;
  hash = (hash ^ (hash >>> 15)) * PRIME2;
  hash = (hash ^ (hash >>> 13)) * PRIME3;
  return hash ^ (hash >>> 16);
}
