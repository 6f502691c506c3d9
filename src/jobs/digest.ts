import type { RunningHash } from "../core/ports.ts";

/** Mismatches are located to this much of the disk, then byte by byte. */
export const REGION = 64 << 20;

/**
 * The contents of a disk in little memory: per region the sum of the BLAKE3 values of its non-zero 64 KiB pieces.
 * Each value already depends on its piece's place on the disk, so order does not matter and exchanged pieces show.
 * Guards against damage, not against an attacker who may choose the contents.
 */
export interface DiskDigest {
  /** `hashes` holds 32 bytes for each place in `at`. */
  add(at: Float64Array, hashes: Uint8Array): void;
  /** Start of the first region that differs; null when the disks are equal. */
  firstDifference(other: DiskDigest): number | null;
  readonly regions: ReadonlyMap<number, Uint32Array>;
  /** 16 bytes that stand for `seed` and these contents. */
  identity(seed: Uint8Array, hash: RunningHash): Uint8Array;
}

export function createDigest(): DiskDigest {
  const regions = new Map<number, Uint32Array>();
  return {
    regions,
    add(at, hashes) {
      const words = new Uint32Array(hashes.buffer, hashes.byteOffset, hashes.length / 4);
      at.forEach((start, i) => {
        const region = Math.floor(start / REGION);
        const sum = regions.get(region) ?? new Uint32Array(8);
        regions.set(region, sum);
        for (let w = 0; w < 8; w++) sum[w] = (sum[w] as number) + (words[i * 8 + w] as number);
      });
    },
    identity(seed, hash) {
      hash.update(seed);
      for (const [region, sum] of [...regions].sort(([a], [b]) => a - b)) {
        hash.update(new Uint8Array(Float64Array.of(region).buffer));
        hash.update(new Uint8Array(sum.buffer));
      }
      return hash.digest().slice(0, 16);
    },
    firstDifference(other) {
      const all = [...new Set([...regions.keys(), ...other.regions.keys()])].sort((a, b) => a - b);
      const differing = all.find((region) => !equal(regions.get(region), other.regions.get(region)));
      return differing === undefined ? null : differing * REGION;
    },
  };
}

function equal(a: Uint32Array | undefined, b: Uint32Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.every((word, i) => word === b[i]);
}
