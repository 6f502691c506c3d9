import fc from "fast-check";
import { expect, test } from "vitest";
import type { ByteSource } from "../core/model.ts";
import { DISK_FORMATS } from "../formats/registry.ts";
import { converted } from "../testing/conversion.ts";
import { same } from "../testing/disks.ts";
import { contextOf, readVolume, specFor, testCompute } from "../testing/image-harness.ts";
import { arbitraryLayer, flatten, type Layer, layerSize, layerVolume } from "../testing/layers.ts";
import { openDisk } from "./chain.ts";
import { createDisk } from "./disk.ts";

const { mergeLayers } = testCompute();

/** Six layers of other sizes and other cells, with explicit zeros, down to parts of a block. */
const chains = fc.tuple(...[512, 1536, 4096, 70_144, 65_536, 3072].map((cell) => arbitraryLayer(cell, Math.ceil(600_000 / cell))));

const written = DISK_FORMATS.flatMap(({ id, target }) => (target === undefined ? [] : [{ id, target }]));

test.each(written)("six layers of unequal sizes become one $id", async ({ id, target }) => {
  await fc.assert(
    fc.asyncProperty(chains, async (layers: readonly Layer[]) => {
      const size = layerSize(layers[0] as Layer);
      fc.pre(size > 0 && target.losses(specFor(target, size, `flat.${id}`)).every(({ severity }) => severity !== "blocker"));
      const disk = createDisk(
        layers.map((layer) => layerVolume(layer)),
        mergeLayers,
      );
      const files = await converted(disk, { format: id, name: `flat.${id}` });
      const back = await openDisk(files[0] as ByteSource, contextOf(files), id);
      expect(same((await readVolume(back.chain)).subarray(0, size), flatten(layers))).toBe(true);
    }),
    { numRuns: 8 },
  );
});
