import { expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, patternDisk } from "../../testing/disks.ts";
import { contextOf, openWritten, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";

import { raw } from "./index.ts";

const open = (bytes: Uint8Array) => raw.open(memorySource("d.img", bytes), contextOf());

test("an empty file is an error, not an empty disk", async () => {
  await expect(open(new Uint8Array(0))).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("is empty") });
});

test("a last sector that is not full is padded, and said so", async () => {
  const volume = await open(new Uint8Array(1000).fill(7));
  expect(volume.size).toBe(1024);
  expect(volume.notes).toHaveLength(1);
  const bytes = await readVolume(volume);
  expect([bytes[999], bytes[1000], bytes[1023]]).toEqual([7, 0, 0]);
  expect(await volume.extents(1000, 24)).toEqual([{ kind: "zero", start: 1000, length: 24 }]);
});

test("the last unit is cut to the size of the disk", async () => {
  const disk = {
    size: 65536 + 512,
    pieces: patternDisk(2)
      .pieces.slice(1)
      .map(({ bytes }) => ({ start: 65536, bytes: bytes.subarray(0, 512) })),
  };
  const image = await writeImage(raw.target!.create(specFor(raw.target!, disk.size, "d.raw"), testCompute()), disk);
  expect(image.sizes).toEqual([disk.size]);
  expect(await readVolume(await openWritten(raw, image))).toEqual(diskBytes(disk));
});
