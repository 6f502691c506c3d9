/** Random numbers that a seed repeats (xorshift128+, as far as 32-bit numbers go). */
export class Random {
  #a: number;
  #b: number;

  constructor(seed: number) {
    this.#a = (seed ^ 0x9e3779b9) >>> 0 || 1;
    this.#b = (Math.imul(seed, 0x85ebca6b) ^ 0xc2b2ae35) >>> 0 || 2;
    for (let i = 0; i < 8; i++) this.below(2);
  }

  /** An integer from 0 up to `limit`, exclusive. */
  below(limit: number): number {
    let a = this.#a;
    const b = this.#b;
    a ^= a << 23;
    a ^= a >>> 17;
    a ^= b ^ (b >>> 26);
    this.#a = b;
    this.#b = a >>> 0;
    return Math.floor((((this.#a + this.#b) >>> 0) / 2 ** 32) * limit);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

const NUMBERS = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  511n,
  512n,
  513n,
  4095n,
  65535n,
  65536n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  1n << 40n,
  1n << 53n,
];
const WIDE = [...NUMBERS, (1n << 62n) - 1n, 1n << 63n, (1n << 64n) - 1n, (1n << 64n) - 512n];

/** A changed copy of a file, and what was done to it. Most changes hit what is not zero: headers, tables, packed data. */
export function mutate(original: Uint8Array, random: Random): { readonly bytes: Uint8Array; readonly what: string } {
  let bytes = original.slice();
  const notes: string[] = [];
  for (let changes = 1 + random.below(random.below(4) === 0 ? 12 : 2); changes > 0 && bytes.length > 0; changes--) {
    const at = placeIn(bytes, random);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const kind = random.below(10);
    if (kind < 3) {
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      notes.push(`bit at ${at}`);
    } else if (kind < 4) {
      bytes[at] = random.below(256);
      notes.push(`byte at ${at}`);
    } else if (kind < 6 && at + 4 <= bytes.length) {
      const value = Number(random.pick(NUMBERS) & 0xffffffffn);
      view.setUint32(at, value, random.below(2) === 0);
      notes.push(`u32 ${value} at ${at}`);
    } else if (kind < 8 && at + 8 <= bytes.length) {
      const value = random.pick(WIDE);
      view.setBigUint64(at, value, random.below(2) === 0);
      notes.push(`u64 ${value} at ${at}`);
    } else if (kind === 8) {
      const [from, length] = [placeIn(bytes, random), 1 + random.below(512)];
      bytes.copyWithin(at, from, Math.min(bytes.length, from + length));
      notes.push(`${length} bytes from ${from} to ${at}`);
    } else if (random.below(2) === 0) {
      bytes = bytes.slice(0, random.below(2) === 0 ? at : random.below(bytes.length + 1));
      notes.push(`cut to ${bytes.length}`);
    } else {
      const length = 1 + random.below(1024);
      const grown = new Uint8Array(bytes.length + length);
      grown.set(bytes);
      for (let i = 0; i < length; i++) grown[bytes.length + i] = random.below(256);
      bytes = grown;
      notes.push(`${length} bytes more`);
    }
  }
  return { bytes, what: notes.join(", ") };
}

/** The first and last kilobytes, what is not zero, or anywhere. */
function placeIn(bytes: Uint8Array, random: Random): number {
  const kind = random.below(8);
  if (kind < 3) return random.below(Math.min(bytes.length, 1024));
  if (kind < 4) return bytes.length - 1 - random.below(Math.min(bytes.length, 1024));
  const at = random.below(bytes.length);
  if (kind < 5) return at;
  for (let i = 0; i < 4096 && at + i < bytes.length; i++) if (bytes[at + i] !== 0) return at + i;
  return at;
}
