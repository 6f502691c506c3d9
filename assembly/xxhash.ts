// What XXH32 and XXH64 have in common (xxHash specification 0.1.1): T is u32 or u64, a lane. The state is memory of the
// caller's: four accumulators, bytes so far u64, bytes held u32, the held bytes of a stripe; 44 bytes of XXH32, 76 of XXH64.

const PRIME32_1: u32 = 0x9e3779b1;
const PRIME32_2: u32 = 0x85ebca77;
const PRIME64_1: u64 = ((0x9e3779b1 as u64) << 32) | 0x85ebca87;
const PRIME64_2: u64 = ((0xc2b2ae3d as u64) << 32) | 0x27d4eb4f;

/** Bytes of a stripe: four lanes. */
function stripeBytes<T>(): usize {
  return 4 * sizeof<T>();
}
// Places in the state, behind the accumulators.
function totalAt<T>(state: usize): usize {
  return state + 4 * sizeof<T>();
}
function heldAt<T>(state: usize): usize {
  return totalAt<T>(state) + 8;
}
/** The held bytes. */
export function xxhRest<T>(state: usize): usize {
  return heldAt<T>(state) + 4;
}
export function xxhRestBytes<T>(state: usize): usize {
  return load<u32>(heldAt<T>(state)) as usize;
}
/** Bytes so far. */
export function xxhTotal<T>(state: usize): u64 {
  return load<u64>(totalAt<T>(state));
}
export function prime1<T>(): T {
  return (sizeof<T>() == 4 ? PRIME32_1 : PRIME64_1) as T;
}
export function prime2<T>(): T {
  return (sizeof<T>() == 4 ? PRIME32_2 : PRIME64_2) as T;
}

/** Step 1, with seed 0. */
export function xxhStart<T>(state: usize): void {
  store<T>(state, (prime1<T>() + prime2<T>()) as T);
  store<T>(state + sizeof<T>(), prime2<T>());
  store<T>(state + 2 * sizeof<T>(), 0 as T);
  store<T>(state + 3 * sizeof<T>(), (0 - prime1<T>()) as T);
  store<u64>(totalAt<T>(state), 0);
  store<u32>(heldAt<T>(state), 0);
}

export function xxhRound<T>(accumulator: T, lane: T): T {
  return (rotl<T>((accumulator + lane * prime2<T>()) as T, (sizeof<T>() == 4 ? 13 : 31) as T) * prime1<T>()) as T;
}

/** Step 2: whole stripes. */
function stripes<T>(state: usize, at: usize, end: usize): void {
  let a = load<T>(state);
  let b = load<T>(state + sizeof<T>());
  let c = load<T>(state + 2 * sizeof<T>());
  let d = load<T>(state + 3 * sizeof<T>());
  for (; at < end; at += stripeBytes<T>()) {
    a = xxhRound<T>(a, load<T>(at));
    b = xxhRound<T>(b, load<T>(at + sizeof<T>()));
    c = xxhRound<T>(c, load<T>(at + 2 * sizeof<T>()));
    d = xxhRound<T>(d, load<T>(at + 3 * sizeof<T>()));
  }
  store<T>(state, a);
  store<T>(state + sizeof<T>(), b);
  store<T>(state + 2 * sizeof<T>(), c);
  store<T>(state + 3 * sizeof<T>(), d);
}

export function xxhUpdate<T>(state: usize, at: usize, length: usize): void {
  const end = at + length;
  const whole = stripeBytes<T>();
  const rests = xxhRest<T>(state);
  store<u64>(totalAt<T>(state), xxhTotal<T>(state) + (length as u64));
  const held = xxhRestBytes<T>(state);
  if (held) {
    const part = min(whole - held, length);
    memory.copy(rests + held, at, part);
    at += part;
    store<u32>(heldAt<T>(state), (held + part) as u32);
    if (held + part < whole) return;
    stripes<T>(state, rests, rests + whole);
  }
  const rest = (end - at) & (whole - 1);
  stripes<T>(state, at, end - rest);
  memory.copy(rests, end - rest, rest);
  store<u32>(heldAt<T>(state), rest as u32);
}

/** The four accumulators, turned by 1, 7, 12 and 18 bits and added; only when there was a stripe. */
export function xxhSum<T>(state: usize): T {
  return (rotl<T>(load<T>(state), 1 as T) +
    rotl<T>(load<T>(state + sizeof<T>()), 7 as T) +
    rotl<T>(load<T>(state + 2 * sizeof<T>()), 12 as T) +
    rotl<T>(load<T>(state + 3 * sizeof<T>()), 18 as T)) as T;
}
