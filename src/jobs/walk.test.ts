import fc from "fast-check";
import { expect, test } from "vitest";
import { DiskError } from "../core/errors.ts";
import { mergeLayers } from "../core/merge-layers.ts";
import type { Volume } from "../core/model.ts";
import type { LostRange } from "../core/ports.ts";
import { arbitraryLayer, flatten, type Layer, layerVolume } from "../testing/layers.ts";
import { localPool } from "../testing/local-pool.ts";
import { attachDisk, createDisk, type Disk } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import { readDisk } from "./read.ts";
import { blockOrders, mapRuns } from "./walk.ts";

const signal = new AbortController().signal;
const diskOf = (chain: readonly Volume[]): Disk => createDisk(chain, mergeLayers, [], (chain[0] as Volume).size);
const layersOf = (layers: readonly Layer[]): Disk => diskOf(layers.map((layer) => layerVolume(layer)));

test("orders carry every byte of data once, in order, whatever the cell and unit sizes", async () => {
  const pool = localPool();
  const chains = fc
    .constantFrom(512, 3072, 70_144, 1 << 20)
    .chain((cell) => fc.array(arbitraryLayer(cell, 24), { minLength: 1, maxLength: 3 }));
  await fc.assert(
    fc.asyncProperty(chains, fc.constantFrom(512, 4096, 65536, 1 << 20), async (layers, unit) => {
      const disk = layersOf(layers);
      const attached = attachDisk(disk, pool);
      const out = new Uint8Array(disk.size);
      let last = -1;
      const request = { unit, encoding: null, hash: true, units: true, salvage: false, start: 0, end: disk.size, onLost: null };
      for await (const { work, result } of inOrder(pool, blockOrders(attached, request, signal), signal)) {
        expect(work.order.grains.length * work.order.grain).toBeLessThanOrEqual(pool.orderBytes);
        result.index.forEach((index, i) => {
          expect(index).toBeGreaterThan(last);
          last = index;
          const bytes = new Uint8Array(result.buffer, result.offset[i], result.length[i]);
          expect(bytes.length).toBe(unit);
          out.set(bytes.subarray(0, Math.min(unit, disk.size - index * unit)), index * unit);
        });
        pool.release(result.buffer);
      }
      attached.detach();
      expect(Buffer.compare(out, flatten(layers))).toBe(0);
    }),
    { numRuns: 40 },
  );
});

test("small reads give the same bytes", async () => {
  const pool = localPool(1);
  await fc.assert(
    fc.asyncProperty(
      fc.array(arbitraryLayer(5000, 30), { minLength: 1, maxLength: 2 }),
      fc.nat(150_000),
      fc.nat(90_000),
      async (layers, start, length) => {
        const disk = layersOf(layers);
        const attached = attachDisk(disk, pool);
        expect(Buffer.compare(await readDisk(attached, pool, start, length, signal), flatten(layers).subarray(start, start + length))).toBe(
          0,
        );
      },
    ),
    { numRuns: 60 },
  );
});

/** A volume whose map fails between two places. */
function damaged(layer: Layer, start: number, end: number, namesRange: boolean): Volume {
  const volume = layerVolume(layer);
  return {
    ...volume,
    async extents(at, length) {
      if (at < end && at + length > start) {
        const guest = namesRange ? { start, length: end - start } : undefined;
        throw new DiskError("corrupt", "test: table damaged", { guest });
      }
      return volume.extents(at, length);
    },
  };
}

test.each([true, false])("salvage zeroes exactly what a damaged table covers (range named: %s)", async (namesRange) => {
  const cell = 64 << 10;
  const layer: Layer = { cell, cells: Array.from({ length: 32 }, (_, i) => i + 1), stopAfter: 5 };
  const disk = diskOf([damaged(layer, 5 * cell, 9 * cell, namesRange)]);
  const lost: LostRange[] = [];
  const covered: number[] = [];
  for await (const runs of mapRuns(disk, 0, disk.size, signal, (range) => lost.push(range)))
    for (const { extent } of runs) covered.push(extent.start / cell);
  const cells = lost.flatMap(({ start, length }) => Array.from({ length: length / cell }, (_, i) => start / cell + i));
  expect(cells).toEqual([5, 6, 7, 8]);
  expect(covered).toEqual(layer.cells.map((_, i) => i).filter((i) => i < 5 || i >= 9));
});

test("without salvage a damaged table stops the walk", async () => {
  const layer: Layer = { cell: 4096, cells: [1, 2, 3], stopAfter: 8 };
  const disk = diskOf([damaged(layer, 4096, 8192, true)]);
  await expect(async () => {
    for await (const _ of mapRuns(disk, 0, disk.size, signal));
  }).rejects.toThrow("test: table damaged");
});
