import fc from "fast-check";
import { expect, test } from "vitest";
import { CHAINS } from "../../scripts/conformance/layer-images.mjs";
import { findChains } from "../chains/index.ts";
import type { ByteSource } from "../core/model.ts";
import { contextBeside } from "../testing/beside.ts";
import { same } from "../testing/disks.ts";
import { arbitraryLayers, chainInMemory } from "../testing/guest-layers.ts";
import { readVolume, testCompute } from "../testing/image-harness.ts";
import { openChain, openDisk } from "./chain.ts";
import type { Disk } from "./disk.ts";

const compute = testCompute();

async function expectShown(disk: Disk, bytes: Uint8Array): Promise<void> {
  expect(disk.notes.filter(({ severity }) => severity === "warning")).toEqual([]);
  expect(disk.size).toBe(bytes.length);
  expect(same(await readVolume(disk.chain), bytes)).toBe(true);
}

test.each(Object.entries(CHAINS))("%s: every layer shows what guests wrote", async (_, formats) => {
  await fc.assert(
    fc.asyncProperty(arbitraryLayers(7000), async (layers) => {
      const { points, shown, sources } = chainInMemory(formats, layers);
      for (const [level, { name, snapshot }] of points.entries()) {
        const file = sources.find((source) => source.name === name) as ByteSource;
        await expectShown(await openDisk(file, { ...contextBeside(sources), snapshot }), shown[level]!);
      }
    }),
    { numRuns: 4 },
  );
});

test.each(Object.entries(CHAINS))("%s: found among its files, in order", async (_, formats) => {
  const [layers = []] = fc.sample(arbitraryLayers(900), { numRuns: 1, seed: 1 });
  const { points, shown, sources } = chainInMemory(formats, layers);
  const found = await findChains(
    [...sources].reverse().map((source) => ({ source })),
    { compute },
  );
  expect(found.chains).toHaveLength(1);
  const members = found.chains[0]!.members.map((id) => found.members[id]!);
  // The images of a bundle are one file's matter.
  expect(members.map(({ path }) => path)).toEqual([...new Set(points.map(({ name }) => name))].reverse());
  expect(found.chains[0]!.problems.filter(({ severity }) => severity !== "note")).toEqual([]);
  for (const id of found.chains[0]!.members) {
    const level = points.findLastIndex(({ name }) => name === found.members[id]!.path);
    await expectShown(await openChain(found, id, { compute }), shown[level]!);
  }
});
