import { expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, patternDisk } from "../../testing/disks.ts";
import { contextOf, openWritten, readVolume, specFor, writeImage } from "../../testing/image-harness.ts";
import { SparseFile } from "../../testing/sparse-file.ts";
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

test("what a file knows to be unwritten is zero without being read", async () => {
  const file = new SparseFile("d.raw");
  file.write(3 << 20, new Uint8Array(1 << 16).fill(1));
  file.truncate(2 ** 43);
  const volume = await raw.open(file, contextOf());
  expect(await volume.extents(0, volume.size)).toEqual([
    { kind: "zero", start: 0, length: 3 << 20 },
    { kind: "raw", start: 3 << 20, length: 1 << 16, file: 0, at: 3 << 20 },
    { kind: "zero", start: (3 << 20) + (1 << 16), length: 2 ** 43 - (3 << 20) - (1 << 16) },
  ]);
});

test("more pieces than one answer holds arrive in several", async () => {
  const file = new SparseFile("d.raw");
  for (let i = 0; i < 1500; i++) file.write(i * (1 << 18), Uint8Array.of(i));
  const volume = await raw.open(file, contextOf());
  const first = await volume.extents(0, volume.size);
  expect(first.length).toBeLessThan(2048);
  const bytes = await readVolume(volume);
  for (let i = 0; i < 1500; i++) expect(bytes[i * (1 << 18)]).toBe(i & 255);
});

test("the last unit is cut to the size of the disk", async () => {
  const disk = {
    size: 65536 + 512,
    pieces: patternDisk(2)
      .pieces.slice(1)
      .map(({ bytes }) => ({ start: 65536, bytes: bytes.subarray(0, 512) })),
  };
  const image = await writeImage(raw.target!.create(specFor(raw.target!, disk.size, "d.raw")), disk);
  expect(image.sizes).toEqual([disk.size]);
  expect(await readVolume(await openWritten(raw, image))).toEqual(diskBytes(disk));
});
