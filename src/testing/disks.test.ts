import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { arbitraryDisk, diskBytes, patternDisk, unitsOf } from "./disks.ts";
import { SparseFile } from "./sparse-file.ts";

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("the units of a disk, put together, are the disk", () => {
  fc.assert(
    fc.property(arbitraryDisk(1 << 20), fc.constantFrom(512, 4096, 65536, 1 << 20), (disk, unit) => {
      const out = new Uint8Array(Math.ceil(disk.size / unit) * unit);
      let previous = -1;
      for (const [index, bytes] of unitsOf(disk, unit)) {
        expect(index).toBeGreaterThan(previous);
        expect(bytes.length).toBe(unit);
        previous = index;
        out.set(bytes, index * unit);
      }
      expect(digest(out.subarray(0, disk.size))).toBe(digest(diskBytes(disk)));
    }),
    { numRuns: 50 },
  );
});

test("MiB i of a pattern disk is filled with i", () => {
  const disk = patternDisk(3);
  expect([...diskBytes(disk, 2 * 1048576 - 2, 4)]).toEqual([1, 1, 2, 2]);
});

test("a sparse file reads what was written and zero elsewhere", async () => {
  const file = new SparseFile("f");
  file.write(2 ** 42 + 65534, Uint8Array.of(1, 2, 3, 4));
  expect(file.size).toBe(2 ** 42 + 65538);
  expect([...(await file.read(2 ** 42 + 65532, 6))]).toEqual([0, 0, 1, 2, 3, 4]);
  expect([...file.dataRanges(0, file.size)].map(({ start }) => start)).toEqual([2 ** 42, 2 ** 42 + 65536]);
  file.truncate(2 ** 42 + 65535);
  expect([...(await file.read(2 ** 42 + 65532, 3))]).toEqual([0, 0, 1]);
  await expect(file.read(file.size, 1)).rejects.toThrow("truncated");
});
