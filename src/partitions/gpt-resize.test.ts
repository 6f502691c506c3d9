import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../core/errors.ts";
import { judge } from "../testing/judges.ts";
import { crc32 } from "./crc32.ts";
import { readPartitions, resizedGpt, soundGpt } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "gpt-resize-"));
afterAll(() => rmSync(folder, { recursive: true }));
const sgdisk = judge("sgdisk");
const MIB = 1 << 20;

const readerOf = (disk: Uint8Array) => async (at: number, length: number) => {
  if (at < 0 || at + length > disk.length) throw new Error(`read of ${at}+${length} in a disk of ${disk.length}`);
  return disk.slice(at, at + length);
};
const soundIn = (disk: Uint8Array) => soundGpt(readerOf(disk), disk.length);

/** The disk at another size, and that no patch lies over another or outside it. */
function applied(disk: Uint8Array, size: number, patches: ReturnType<typeof resizedGpt>): Uint8Array {
  const out = new Uint8Array(size);
  out.set(disk.subarray(0, size));
  let reached = 0;
  for (const { start, length, bytes } of patches) {
    expect(start).toBeGreaterThanOrEqual(reached);
    reached = start + length;
    expect(reached).toBeLessThanOrEqual(size);
    if (bytes === null) out.fill(0, start, reached);
    else out.set(bytes, start);
  }
  return out;
}
/** Sets the checksums of the first copy right after a change. */
function summed(disk: Uint8Array): Uint8Array {
  const view = new DataView(disk.buffer);
  view.setUint32(512 + 88, crc32(disk.subarray(1024, 1024 + 16384)), true);
  view.setUint32(512 + 16, 0, true);
  view.setUint32(512 + 16, crc32(disk.subarray(512, 604)), true);
  return disk;
}

describe.skipIf(sgdisk === null)("with a table of sgdisk's", () => {
  const path = join(folder, "gpt.raw");
  const sound: Uint8Array = (() => {
    writeFileSync(path, new Uint8Array(2 * MIB));
    sgdisk?.must(["-a", "1", "-n", "1:34:100", "-n", "2:200:3000", path]);
    return new Uint8Array(readFileSync(path));
  })();

  test("whatever is altered in the tables: refused, or a table that is right in both copies", async () => {
    const tables = fc.oneof(
      fc.nat(34 * 512 - 1),
      fc.integer({ min: 510, max: 1200 }),
      fc.integer({ min: 2 * MIB - 33 * 512, max: 2 * MIB - 1 }),
    );
    const edits = fc.array(fc.tuple(tables, fc.nat(255)), { minLength: 1, maxLength: 5 });
    let moved = 0;
    await fc.assert(
      fc.asyncProperty(edits, fc.integer({ min: 3200, max: 9000 }), fc.boolean(), async (changes, sectors, isSummed) => {
        const disk = new Uint8Array(sound);
        for (const [at, value] of changes) disk[at] = value;
        if (isSummed) summed(disk);
        const gpt = await soundIn(disk).catch((error: unknown) => {
          expect(error).toBeInstanceOf(DiskError);
          return null;
        });
        const size = sectors * 512;
        if (gpt === null || size % gpt.sector !== 0 || size < gpt.end + gpt.backupBytes) return;
        moved++;
        const now = applied(disk, size, resizedGpt(gpt, size));
        const again = await soundIn(now);
        expect(again).toMatchObject({ repairs: [], partitions: gpt.partitions, sectors: size / gpt.sector });
        const table = await readPartitions(readerOf(now), size);
        expect(table?.notes.filter(({ text }) => /missing|checksum|backup/.test(text) && !/protective/.test(text))).toEqual([]);
        expect(Buffer.compare(now.subarray(34 * 512, 3100 * 512), sound.subarray(34 * 512, 3100 * 512))).toBe(0);
      }),
      { numRuns: 150 },
    );
    expect(moved).toBeGreaterThan(20);
  });

  test("where a partition lies, no zeros are put, though the table says that its backup is there", async () => {
    const disk = new Uint8Array(4 * MIB);
    disk.set(sound);
    // Partition 2 was made longer, over the old end, by a program that left the backup where it was.
    new DataView(disk.buffer).setBigUint64(1024 + 128 + 40, 5000n, true);
    const gpt = await soundIn(summed(disk));
    expect(gpt?.end).toBe(5001 * 512);
    const now = applied(disk, 3 * MIB, resizedGpt(gpt!, 3 * MIB));
    expect(Buffer.compare(now.subarray(34 * 512, 5001 * 512), disk.subarray(34 * 512, 5001 * 512))).toBe(0);
    writeFileSync(path, now);
    expect(sgdisk!.must(["-v", path])).toContain("No problems found");
  });

  test("entries that lie in unusual places are not moved", async () => {
    const disk = new Uint8Array(sound);
    disk.set(sound.subarray(1024, 1024 + 16384), 3100 * 512);
    new DataView(disk.buffer).setBigUint64(512 + 72, 3100n, true);
    await expect(soundIn(summed(disk))).rejects.toMatchObject({ code: "unsupported" });
  });

  test("an MBR without a GPT, and a disk without anything", async () => {
    const disk = new Uint8Array(sound).fill(0, 512, 34 * 512).fill(0, 2 * MIB - 33 * 512);
    expect(await soundIn(disk)).toBeNull();
    expect(await soundIn(new Uint8Array(MIB))).toBeNull();
    expect(await soundIn(new Uint8Array(100))).toBeNull();
  });
});
