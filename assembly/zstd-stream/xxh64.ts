// XXH64 (xxHash specification 0.1.1), running. Its state is XXH64_STATE_BYTES of memory:
// four accumulators, bytes so far u64, bytes held u32, the held bytes (up to 31).

const PRIME1: u64 = ((0x9e3779b1 as u64) << 32) | 0x85ebca87;
const PRIME2: u64 = ((0xc2b2ae3d as u64) << 32) | 0x27d4eb4f;
const PRIME3: u64 = ((0x165667b1 as u64) << 32) | 0x9e3779f9;
const PRIME4: u64 = ((0x85ebca77 as u64) << 32) | 0xc2b2ae63;
const PRIME5: u64 = ((0x27d4eb2f as u64) << 32) | 0x165667c5;
const STRIPE: usize = 32;
const TOTAL: usize = 32;
const HELD: usize = 40;
const REST: usize = 44;

/** Step 1, with seed 0. */
export function xxh64Start(state: usize): void {
  store<u64>(state, PRIME1 + PRIME2);
  store<u64>(state, PRIME2, 8);
  store<u64>(state, 0, 16);
  store<u64>(state, 0 - PRIME1, 24);
  store<u64>(state, 0, TOTAL);
  store<u32>(state, 0, HELD);
}

function round(accumulator: u64, lane: u64): u64 {
  return rotl<u64>(accumulator + lane * PRIME2, 31) * PRIME1;
}

/** Step 2: whole stripes. */
function stripes(state: usize, at: usize, end: usize): void {
  let a = load<u64>(state);
  let b = load<u64>(state, 8);
  let c = load<u64>(state, 16);
  let d = load<u64>(state, 24);
  for (; at < end; at += STRIPE) {
    a = round(a, load<u64>(at));
    b = round(b, load<u64>(at, 8));
    c = round(c, load<u64>(at, 16));
    d = round(d, load<u64>(at, 24));
  }
  store<u64>(state, a);
  store<u64>(state, b, 8);
  store<u64>(state, c, 16);
  store<u64>(state, d, 24);
}

export function xxh64Update(state: usize, at: usize, length: usize): void {
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

function merge(hash: u64, accumulator: u64): u64 {
  return (hash ^ round(0, accumulator)) * PRIME1 + PRIME4;
}

/** Steps 3 to 6. The state stays as it is. */
export function xxh64Final(state: usize): u64 {
  const total = load<u64>(state, TOTAL);
  let hash: u64 = PRIME5;
  if (total >= STRIPE) {
    const a = load<u64>(state);
    const b = load<u64>(state, 8);
    const c = load<u64>(state, 16);
    const d = load<u64>(state, 24);
    hash = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
    hash = merge(merge(merge(merge(hash, a), b), c), d);
  }
  hash += total;
  let at = state + REST;
  const end = at + (load<u32>(state, HELD) as usize);
  for (; at + 8 <= end; at += 8) hash = rotl<u64>(hash ^ round(0, load<u64>(at)), 27) * PRIME1 + PRIME4;
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ ((load<u32>(at) as u64) * PRIME1), 23) * PRIME2 + PRIME3;
    at += 4;
  }
  for (; at < end; at++) hash = rotl<u64>(hash ^ ((load<u8>(at) as u64) * PRIME5), 11) * PRIME1;
  hash = (hash ^ (hash >> 33)) * PRIME2;
  hash = (hash ^ (hash >> 29)) * PRIME3;
  return hash ^ (hash >> 32);
}
