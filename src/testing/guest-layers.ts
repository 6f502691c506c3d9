import fc from "fast-check";
import { type GuestLayer, type GuestWrite, type MadeChain, makeChain } from "../../scripts/conformance/layer-images.mjs";
import { memorySource } from "../core/bytes.ts";
import type { ByteSource } from "../core/model.ts";
import { noise } from "./disks.ts";

const SECTOR = 512;

type Wish = typeof arbitraryWrite extends fc.Arbitrary<infer W> ? W : never;
/** A write somewhere on a disk of any size: it is cut to what the disk has. */
const arbitraryWrite = fc.record({
  // Blocks of the formats have up to 2048 sectors.
  at: fc.oneof(
    fc.nat(6999),
    fc.integer({ min: 0, max: 54 }).map((i) => i * 128),
    fc.constantFrom(0, 2048, 4096),
  ),
  count: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 400 }), fc.integer({ min: 2000, max: 3000 })),
  fill: fc.oneof(fc.constant("zeros" as const), fc.constant("noise" as const), fc.integer({ min: 1, max: 255 })),
  seed: fc.nat(),
});

function written(size: number, { at, count, fill, seed }: Wish): GuestWrite {
  const sector = at % (size / SECTOR);
  const length = Math.min(count, size / SECTOR - sector) * SECTOR;
  const bytes = fill === "zeros" ? null : fill === "noise" ? noise(length, seed) : new Uint8Array(length).fill(fill);
  return { start: sector * SECTOR, length, bytes };
}

/** What guests wrote to six layers that grow and shrink, from the base on; rarely whole blocks of anything. */
export const arbitraryLayers = (mostSectors: number): fc.Arbitrary<readonly GuestLayer[]> =>
  fc.array(
    fc
      .record({ sectors: fc.integer({ min: 1, max: mostSectors }), writes: fc.array(arbitraryWrite, { maxLength: 4 }) })
      .map(({ sectors, writes }) => ({ size: sectors * SECTOR, writes: writes.map((one) => written(sectors * SECTOR, one)) })),
    { minLength: 6, maxLength: 6 },
  );

export interface ChainInMemory extends MadeChain {
  readonly sources: readonly ByteSource[];
}
export function chainInMemory(formats: readonly string[], layers: readonly GuestLayer[]): ChainInMemory {
  const chain = makeChain(formats, layers);
  return { ...chain, sources: chain.files.map(({ name, bytes }) => memorySource(name, bytes)) };
}
