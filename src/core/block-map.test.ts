import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createKernels } from "../kernels/index.ts";
import { arbitraryLayer, flatten, type Layer, layerSize, layerVolume } from "../testing/layers.ts";
import { SparseFile } from "../testing/sparse-file.ts";
import { clip, createBlockMap, type Run } from "./block-map.ts";
import { DiskError } from "./errors.ts";
import { mergeLayers } from "./merge-layers.ts";
import type { ByteSource, Volume } from "./model.ts";

const mapOf = (chain: readonly Volume[]) => createBlockMap(chain, mergeLayers);

/** Reads a window through the map, however often it stops early. */
async function readThrough(chain: readonly Volume[], start: number, length: number, map = mapOf(chain)): Promise<Uint8Array> {
  const out = new Uint8Array(length);
  for (let at = start; at < start + length; ) {
    const runs = await map(at, start + length - at);
    for (const { volume, extent } of runs) {
      expect(extent.start).toBe(at);
      expect(extent.length).toBeGreaterThan(0);
      if (extent.kind === "raw") out.set(await (chain[volume] as Volume).files[0]!.read(extent.at, extent.length), at - start);
      at += extent.length;
    }
    expect(runs.length).toBeGreaterThan(0);
  }
  return out;
}

test("the newest volume wins, holes ask the parent, shorter parents read as zero", async () => {
  const chains = fc.array(fc.oneof(arbitraryLayer(4, 12), arbitraryLayer(6, 12)), { minLength: 1, maxLength: 5 });
  const window = fc.record({ from: fc.double({ min: 0, max: 1, noNaN: true }), to: fc.double({ min: 0, max: 1, noNaN: true }) });
  await fc.assert(
    fc.asyncProperty(chains, window, async (layers, { from, to }) => {
      const size = layerSize(layers[0] as Layer);
      const start = Math.floor(Math.min(from, to) * (size - 1));
      const end = Math.max(start + 1, Math.ceil(Math.max(from, to) * size));
      const chain = layers.map((layer) => layerVolume(layer));
      expect(await readThrough(chain, start, end - start)).toEqual(flatten(layers).subarray(start, end));
    }),
    { numRuns: 300 },
  );
});

test("an explicit zero hides the parent and counts as allocated; below the last layer nothing is", async () => {
  const top = layerVolume({ cell: 4, cells: [0, null], stopAfter: 8 });
  const base = layerVolume({ cell: 4, cells: [7], stopAfter: 8 });
  const runs = await mapOf([top, base])(0, 8);
  expect(runs.map(({ extent }) => extent)).toEqual([
    { kind: "zero", start: 0, length: 4, allocated: true },
    { kind: "zero", start: 4, length: 4, allocated: false },
  ]);
});

test("of one layer, holes that follow each other are one", async () => {
  const hole = (start: number) => ({ kind: "hole" as const, start, length: 4 });
  const raw = { kind: "raw" as const, start: 8, length: 4, file: 0, at: 100 };
  const layer: Volume = {
    ...layerVolume({ cell: 4, cells: [7, 7, 7, 7], stopAfter: 4 }),
    extents: async () => [hole(0), hole(4), raw, hole(12)],
  };
  expect(await mapOf([layer])(0, 16)).toEqual([
    { volume: 1, extent: { kind: "zero", start: 0, length: 8, allocated: false } },
    { volume: 0, extent: raw },
    { volume: 1, extent: { kind: "zero", start: 12, length: 4, allocated: false } },
  ]);
});

test("clipping moves the position of what is cut", () => {
  expect(clip({ kind: "raw", start: 10, length: 10, file: 0, at: 100 }, 14, 3)).toEqual({
    kind: "raw",
    start: 14,
    length: 3,
    file: 0,
    at: 104,
  });
  const packed = { kind: "packed", start: 0, length: 64, file: 0, at: 9, packed: 5, codec: "deflate", skip: 0, unpacked: 64 } as const;
  expect(clip(packed, 16, 8)).toMatchObject({ start: 16, length: 8, at: 9, packed: 5, skip: 16, unpacked: 64 });
});

test("a run keeps the number of the volume that owns it", async () => {
  const chain = [layerVolume({ cell: 4, cells: [null, 1], stopAfter: 8 }), layerVolume({ cell: 8, cells: [2], stopAfter: 8 })];
  const owners = (await mapOf(chain)(0, 8)).map(({ volume, extent }: Run) => [volume, extent.start, extent.length]);
  expect(owners).toEqual([
    [1, 0, 4],
    [0, 4, 4],
  ]);
});

describe("holes that a file knows of", () => {
  const rawVolume = (file: ByteSource): Volume => ({
    ...layerVolume({ cell: 1, cells: [1], stopAfter: 1 }),
    size: file.size,
    files: [file],
    extents: async (start, length) => [{ kind: "raw", start, length, file: 0, at: start }],
  });

  test("are zero without being read", async () => {
    const file = new SparseFile("d.raw");
    file.write(3 << 20, new Uint8Array(1 << 16).fill(1));
    file.truncate(2 ** 43);
    const runs = await mapOf([rawVolume(file)])(0, file.size);
    expect(runs.map(({ extent }) => extent)).toEqual([
      { kind: "zero", start: 0, length: 3 << 20, allocated: true },
      { kind: "raw", start: 3 << 20, length: 1 << 16, file: 0, at: 3 << 20 },
      { kind: "zero", start: (3 << 20) + (1 << 16), length: 2 ** 43 - (3 << 20) - (1 << 16), allocated: true },
    ]);
  });

  test("arrive in several answers when there are many", async () => {
    const file = new SparseFile("d.raw");
    const count = 5000;
    for (let i = 0; i < count; i++) file.write(i << 17, Uint8Array.of(i | 1));
    const volume = rawVolume(file);
    expect((await mapOf([volume])(0, file.size)).length).toBeLessThan(2 * count);
    const bytes = await readThrough([volume], 0, file.size);
    for (let i = 0; i < count; i++) expect(bytes[i << 17]).toBe((i | 1) & 255);
  });
});

describe("a damaged table of an older layer", () => {
  const cell = 4;
  const top = layerVolume({ cell, cells: [1, null, 3, 4, null, null], stopAfter: 9 });
  const sound = layerVolume({ cell, cells: [9, 9, 9, 9, 9, 9], stopAfter: 9 });
  const damagedAt = (at: number): Volume => ({
    ...sound,
    async extents(start, length) {
      if (start < at + cell && start + length > at)
        throw new DiskError("corrupt", "test: table damaged", { guest: { start: at, length: cell } });
      return sound.extents(start, length);
    },
  });

  test("does no harm where a newer layer has the data", async () => {
    expect(await readThrough([top, damagedAt(2 * cell)], 0, 6 * cell)).toEqual(await readThrough([top, sound], 0, 6 * cell));
  });

  test("is told when what it covers is asked for, not before", async () => {
    const map = mapOf([top, damagedAt(4 * cell)]);
    const before = await map(0, 6 * cell);
    expect(before.map(({ volume }) => volume)).toEqual([0, 1, 0, 0]);
    await expect(map(4 * cell, 2 * cell)).rejects.toThrow("test: table damaged");
  });
});

test("more runs than the kernel takes at once come in several answers", async () => {
  const cells = Array.from({ length: 50_000 }, (_, i) => (i % 2 === 0 ? null : i % 251));
  const chain = [0, 1, 2].map(() => layerVolume({ cell: 1, cells, stopAfter: 1e9 }));
  const map = createBlockMap(chain, createKernels().mergeLayers);
  expect(await readThrough(chain, 0, cells.length, map)).toEqual(Uint8Array.from(cells, (byte) => byte ?? 0));
});

test("a layer that is asked for a part of the window may list any number of runs there", async () => {
  const cells = Array.from({ length: 130_000 }, (_, i) => (i % 2 === 0 ? null : i % 251));
  const top = layerVolume({ cell: 1, cells: [7, ...cells.slice(1).map(() => null)], stopAfter: 1e9 });
  const chain = [top, layerVolume({ cell: 1, cells, stopAfter: 1e9 })];
  const map = createBlockMap(chain, createKernels().mergeLayers);
  expect(await readThrough(chain, 0, cells.length, map)).toEqual(Uint8Array.from(cells, (byte, i) => (i === 0 ? 7 : (byte ?? 0))));
});
