import fc from "fast-check";
import { createOverlay, type Patch } from "../core/overlay.ts";
import { createDisk, type Disk } from "../jobs/disk.ts";
import { arbitraryDisk, noise, type TestDisk } from "./disks.ts";
import { testCompute } from "./image-harness.ts";
import { SparseFile } from "./sparse-file.ts";

// Disks, and what they show after some of their bytes have changed.

export const MIB = 1 << 20;
export const rawSource = ({ size, pieces }: TestDisk, name = "disk.raw"): SparseFile => {
  const file = new SparseFile(name);
  for (const { start, bytes } of pieces) file.write(start, bytes);
  file.truncate(size);
  return file;
};
export const changed = (disk: Disk, patches: readonly Patch[], size = disk.size): Disk =>
  createDisk([createOverlay(size, patches), ...disk.chain], testCompute().mergeLayers, [], size);

/** What the disk shows after the patches. */
export function patched(base: Uint8Array, patches: readonly Patch[], size: number): Uint8Array {
  const out = new Uint8Array(size);
  out.set(base.subarray(0, size));
  for (const { start, length, bytes } of patches) out.set(bytes ?? new Uint8Array(length), start);
  return out;
}

/** Ascending, apart, of whole sectors: noise, and zeros. */
const arbitraryPatches = (size: number): fc.Arbitrary<Patch[]> =>
  fc
    .array(fc.record({ at: fc.nat(size / 512 - 1), sectors: fc.integer({ min: 1, max: 300 }), zero: fc.boolean(), seed: fc.nat() }), {
      maxLength: 6,
    })
    .map((list) => {
      const patches: Patch[] = [];
      let free = 0;
      for (const { at, sectors, zero, seed } of list.toSorted((a, b) => a.at - b.at)) {
        const start = Math.max(at * 512, free);
        const length = Math.min(sectors * 512, size - start);
        if (length <= 0) continue;
        patches.push({ start, length, bytes: zero ? null : noise(length, seed) });
        free = start + length + 512;
      }
      return patches;
    });

/** A disk, another size of it now and then, and patches. */
export const arbitraryChange = fc
  .record({ disk: arbitraryDisk(2 * MIB), grow: fc.constantFrom(0, 0, 70_144, 512) })
  .chain(({ disk, grow }) => arbitraryPatches(disk.size + grow).map((patches) => ({ disk, size: disk.size + grow, patches })));
