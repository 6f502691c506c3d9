import { expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { contextOf, testCompute } from "../testing/image-harness.ts";
import { localPool } from "../testing/local-pool.ts";
import { openDisk } from "./chain.ts";
import { readContents } from "./contents.ts";
import { createSample } from "./sample.ts";

test("the sample is a VMDK with one FAT partition that carries its label", async () => {
  const [image] = createSample(testCompute());
  const disk = await openDisk(memorySource("sample.vmdk", image as Uint8Array), contextOf());
  expect(disk.chain[0]?.format).toBe("vmdk");
  const contents = await readContents(disk, localPool(1), new AbortController().signal);
  expect(contents).toMatchObject({ kind: "MBR", entries: [{ start: 1 << 20, name: "SAMPLE", fileSystem: "fat12" }] });
});
