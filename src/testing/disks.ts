import fc from "fast-check";

/** A virtual disk for tests: what no piece covers is zero. Pieces ascend, do not overlap and lie inside the disk. */
export interface TestDisk {
  readonly size: number;
  readonly pieces: readonly Piece[];
}
export interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

const MIB = 1 << 20;

/** A disk from unit number → bytes (at most one unit each). */
export function diskOf(size: number, unit: number, blocks: ReadonlyMap<number, Uint8Array>): TestDisk {
  const pieces = [...blocks].sort(([a], [b]) => a - b).map(([index, bytes]) => ({ start: index * unit, bytes }));
  return { size, pieces: pieces.map(({ start, bytes }) => ({ start, bytes: bytes.subarray(0, Math.min(unit, size - start)) })) };
}

/** MiB i is filled with the byte i (modulo 256), so any range can be checked without an expected file. */
export function patternDisk(mebibytes: number): TestDisk {
  const pieces = Array.from({ length: mebibytes }, (_, i) => ({ start: i * MIB, bytes: new Uint8Array(MIB).fill(i) }));
  return { size: mebibytes * MIB, pieces };
}

/** `length` bytes at `at`; past the end of the disk zero, as a writer's last unit needs it. */
export function diskBytes(disk: TestDisk, at = 0, length = disk.size - at): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  for (const { start, bytes } of disk.pieces) {
    if (start >= at + length) break;
    const from = Math.max(start, at);
    const to = Math.min(start + bytes.length, at + length);
    if (from < to) out.set(bytes.subarray(from - start, to - start), from - at);
  }
  return out;
}

/** The units that are not all zero, ascending, zero-padded past the end of the disk: what a writer's `put` is fed with. */
export function* unitsOf(disk: TestDisk, unit: number): Generator<readonly [index: number, bytes: Uint8Array<ArrayBuffer>]> {
  let next = 0;
  for (const { start, bytes } of disk.pieces) {
    const last = Math.floor((start + bytes.length - 1) / unit);
    for (let index = Math.max(next, Math.floor(start / unit)); index <= last; index++) {
      const block = diskBytes(disk, index * unit, unit);
      if (block.some((byte) => byte !== 0)) yield [index, block];
      next = index + 1;
    }
  }
}

export const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Bytes that no codec can shrink, the same for the same seed. */
export function noise(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  let x = (seed * 2654435761 + 0x9e3779b9) >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x;
  }
  return out;
}

/** A disk with noise, text and a run of one byte, each at an odd place, and data in its last sector. */
export function mixedBytes(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  bytes.set(noise(300_000, 1), 70_000);
  bytes.set(new TextEncoder().encode("spindle ".repeat(100_000)), MIB);
  bytes.fill(0x77, 3 * MIB, 3 * MIB + 500_000);
  bytes.set(noise(512, 2), size - 512);
  return bytes;
}

/**
 * Sparse disks of whole sectors: `maxBytes` at most, up to eight pieces of noise or of one byte, of any sector length up to
 * 192 KiB, placed anywhere (touching the end too).
 */
export function arbitraryDisk(maxBytes: number): fc.Arbitrary<TestDisk> {
  const sectors = maxBytes / 512;
  const piece = fc.record({
    at: fc.oneof(fc.nat(sectors - 1), fc.constant(0), fc.constant(-1)),
    count: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 384 })),
    fill: fc.oneof(fc.integer({ min: 1, max: 255 }), fc.constant(-1)),
    seed: fc.nat(),
  });
  const size = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: sectors }) }, { weight: 1, arbitrary: fc.constant(sectors) });
  return fc.record({ size, list: fc.array(piece, { maxLength: 8 }) }).map(({ size, list }) => {
    const pieces: Piece[] = [];
    let free = 0;
    const placed = list.map((p) => ({ ...p, at: p.at < 0 ? size - Math.min(p.count, size) : p.at % size })).sort((a, b) => a.at - b.at);
    for (const { at, count, fill, seed } of placed) {
      const from = Math.max(at, free);
      const to = Math.min(at + count, size);
      if (from >= to) continue;
      const length = (to - from) * 512;
      pieces.push({ start: from * 512, bytes: fill < 0 ? noise(length, seed) : new Uint8Array(length).fill(fill) });
      free = to;
    }
    return { size: size * 512, pieces };
  });
}
