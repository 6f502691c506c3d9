import fc from "fast-check";
import { expect, test } from "vitest";
import { mergeLayers } from "../core/merge-layers.ts";
import type { Volume } from "../core/model.ts";
import { arbitraryLayer, layerVolume } from "../testing/layers.ts";
import { createDisk } from "./disk.ts";
import { survey } from "./survey.ts";

const signal = new AbortController().signal;
const SECTOR = 512;

/** The newest volume that says anything about a sector, and whether that is data. */
async function holderOf(chain: readonly Volume[], at: number): Promise<{ readonly owner: number; readonly isData: boolean } | null> {
  for (const [owner, volume] of chain.entries()) {
    if (at >= volume.size) return null;
    const [extent] = await volume.extents(at, SECTOR, signal);
    if (extent?.kind !== "hole") return { owner, isData: extent?.kind !== "zero" };
  }
  return null;
}

test("what each layer owns is what it is the newest holder of, cell by cell", async () => {
  const chains = fc
    .constantFrom(SECTOR, 6 * SECTOR)
    .chain((cell) => fc.array(arbitraryLayer(cell, 24), { minLength: 1, maxLength: 4 }))
    .map((layers) => layers.map((layer) => layerVolume(layer)));
  await fc.assert(
    fc.asyncProperty(chains, fc.constantFrom(1, 7), async (chain, count) => {
      const disk = createDisk(chain, mergeLayers, [], (chain[0] as Volume).size);
      const { cells } = await survey(disk, { cells: count, salvage: false, owners: true }, signal);
      const expected = chain.map(() => new Float64Array(cells.data.length));
      for (let at = 0; at < disk.size; at += SECTOR) {
        const holder = await holderOf(chain, at);
        const sums = holder?.isData === true ? (expected[holder.owner] as Float64Array) : null;
        const cell = Math.floor(at / cells.cellBytes);
        if (sums !== null) sums[cell] = (sums[cell] as number) + Math.min(SECTOR, disk.size - at);
      }
      expect(cells.owners?.map(({ data, packed }) => data.map((bytes, i) => bytes + (packed[i] as number)))).toEqual(expected);
    }),
    { numRuns: 30 },
  );
});

test("nobody's share is summed up unless it is asked for", async () => {
  const chain = fc.sample(arbitraryLayer(SECTOR, 4), 1).map((layer) => layerVolume(layer));
  const disk = createDisk(chain, mergeLayers, [], (chain[0] as Volume).size);
  expect((await survey(disk, { cells: 1, salvage: false }, signal)).cells.owners).toBeUndefined();
});
