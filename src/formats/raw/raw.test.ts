import { describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, noise, patternDisk } from "../../testing/disks.ts";
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

describe("a split disk", () => {
  const bytes = noise(5000, 4);
  const parts = (first: string, ...names: string[]) =>
    [first, ...names].map((name, i, all) => memorySource(name, bytes.subarray(i * 1000, i === all.length - 1 ? 5000 : (i + 1) * 1000)));

  test.each([
    ["d.001", "d.002", "d.003"],
    ["d.000", "d.001", "d.002"],
    ["d.img.aa", "d.img.ab", "d.img.ac"],
  ])("%s with its other parts", async (...names) => {
    const files = parts(...(names as [string, ...string[]]));
    const volume = await raw.open(files[0]!, contextOf(files));
    expect(volume).toMatchObject({ size: 5120, variant: "3 parts" });
    expect(
      Buffer.from(await readVolume(volume))
        .subarray(0, 5000)
        .equals(bytes),
    ).toBe(true);
    expect(Buffer.from(await readVolume(volume, 900, 1300)).equals(bytes.subarray(900, 2200))).toBe(true);
  });

  test("the first part alone is read with a warning; a name like any other is no part", async () => {
    const [first, second] = parts("d.001", "d.002");
    expect(await raw.open(first!, contextOf([first!]))).toMatchObject({
      size: 1024,
      notes: [{ severity: "warning" }, { severity: "warning" }],
    });
    expect(await raw.open(second!, contextOf([first!, second!]))).toMatchObject({ variant: "" });
    const image = memorySource("d.img", bytes);
    expect((await raw.open(image, contextOf([image, memorySource("d.imh", bytes)]))).files).toHaveLength(1);
  });
});
