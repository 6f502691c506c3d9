import fc from "fast-check";
import { expect, test } from "vitest";
import { CHAINS } from "../../scripts/conformance/layer-images.mjs";
import type { ByteSource } from "../core/model.ts";
import { DISK_FORMATS } from "../formats/registry.ts";
import { contextBeside } from "../testing/beside.ts";
import { converted } from "../testing/conversion.ts";
import { same } from "../testing/disks.ts";
import { arbitraryLayers, chainInMemory } from "../testing/guest-layers.ts";
import { contextOf, readVolume } from "../testing/image-harness.ts";
import { openDisk } from "./chain.ts";

const written = DISK_FORMATS.filter(({ target }) => target !== undefined).map(({ id }) => id);

test.each(written)("six layers of unequal sizes, in every format that has layers, become one %s", async (format) => {
  for (const formats of Object.values(CHAINS)) {
    await fc.assert(
      fc.asyncProperty(arbitraryLayers(1200), async (layers) => {
        const { points, shown, sources } = chainInMemory(formats, layers);
        const [{ name }, expected] = [points.at(-1)!, shown.at(-1)!];
        const disk = await openDisk(sources.find((source) => source.name === name) as ByteSource, contextBeside(sources));
        const files = await converted(disk, { format, name: `flat.${format}` });
        const back = await openDisk(files[0] as ByteSource, contextOf(files), format);
        expect(same((await readVolume(back.chain)).subarray(0, expected.length), expected)).toBe(true);
      }),
      { numRuns: 1 },
    );
  }
});
