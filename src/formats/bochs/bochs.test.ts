import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import { noise, same } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { sha256 } from "../../testing/hashes.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { bochs } from "./index.ts";
import { Header, HeaderVersion1, NOT_ALLOCATED, VERSION_1, VERSION_2 } from "./spec.ts";

const qemu = judge("qemu-img");
/** Bochs' own image tool. */
const hasBximage = spawnSync("bximage", ["--help"]).error === undefined;
const folder = mkdtempSync(join(tmpdir(), "bochs-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SECTOR = 512;
/** Extents of 4 KiB, each behind a sector of bitmap; six entries. */
const [UNIT, STRIDE, ENTRIES, CATALOG_AT] = [4096, 4096 + SECTOR, 6, 512];
const DATA_AT = CATALOG_AT + ENTRIES * 4;
const SIZE = 5 * UNIT + 3 * SECTOR;
type Fields = Parameters<typeof Header.write>[0];
const ascii = (text: string, length: number) => {
  const out = new Uint8Array(length);
  out.set(new TextEncoder().encode(text));
  return out;
};
const FIELDS: Fields = {
  magic: ascii("Bochs Virtual HD Image", 32),
  type: ascii("Redolog", 16),
  subtype: ascii("Growing", 16),
  version: VERSION_2,
  header: CATALOG_AT,
  catalog: ENTRIES,
  bitmap: 1,
  extent: UNIT,
  timestamp: 0,
  disk: BigInt(SIZE),
};

/** Entry 0 → extent 1 (sectors 0, 1 and 5 written), 3 → extent 0 (all), 5 → extent 2 (its first sector); and what the disk holds. */
function sample(fields: Partial<Fields> = {}): { bytes: Uint8Array<ArrayBuffer>; disk: Uint8Array } {
  const bytes = new Uint8Array(DATA_AT + 3 * STRIDE);
  const merged = { ...FIELDS, ...fields };
  bytes.set(merged.version === VERSION_1 ? HeaderVersion1.write(merged) : Header.write(merged));
  for (let entry = 0; entry < ENTRIES; entry++) putEntry(bytes, entry, NOT_ALLOCATED);
  const disk = new Uint8Array(SIZE);
  const layout: [number, number, number[]][] = [
    [0, 1, [0, 1, 5]],
    [3, 0, [0, 1, 2, 3, 4, 5, 6, 7]],
    [5, 2, [0]],
  ];
  for (const [entry, extent, sectors] of layout) {
    putEntry(bytes, entry, extent);
    const at = DATA_AT + extent * STRIDE;
    // What the bitmap does not name is not the disk's, whatever lies there.
    bytes.fill(0xee, at + SECTOR, at + STRIDE);
    for (const sector of sectors) {
      bytes[at] = (bytes[at] as number) | (1 << sector);
      const data = noise(SECTOR, entry * 8 + sector + 1);
      bytes.set(data, at + SECTOR + sector * SECTOR);
      disk.set(data, entry * UNIT + sector * SECTOR);
    }
  }
  return { bytes, disk };
}
function putEntry(bytes: Uint8Array, entry: number, value: number): void {
  new DataView(bytes.buffer).setUint32(CATALOG_AT + entry * 4, value, true);
}
const open = (bytes: Uint8Array) => bochs.open(memorySource("d.img", bytes), contextOf());

describe("growing images", () => {
  test.each([VERSION_1, VERSION_2])("version %i: sectors by the bitmaps", async (version) => {
    const { bytes, disk } = sample({ version });
    expect(bochs.probe(bytes, bytes)).toBe(true);
    const volume = await open(bytes);
    expect([volume.size, volume.unit, volume.notes]).toEqual([SIZE, UNIT, []]);
    expect(same(await readVolume(volume), disk)).toBe(true);
    expect(same(await readVolume(volume, 700, 3000), disk.subarray(700, 3700))).toBe(true);
    expect(await volume.extents(0, SIZE)).toHaveLength(8);
  });
  test.skipIf(qemu === null).each([VERSION_1, VERSION_2])("version %i: qemu-img reads the same", (version) => {
    const { bytes, disk } = sample({ version });
    writeFileSync(join(folder, "d.img"), bytes);
    writeFileSync(join(folder, "raw"), disk);
    expect(qemu!.must(["compare", "-f", "bochs", "-F", "raw", join(folder, "d.img"), join(folder, "raw")])).toContain("identical");
  });

  test.skipIf(!hasBximage)("what bximage converts reads the same", async () => {
    const disk = new Uint8Array(10 << 20);
    disk.set(noise(300_000, 1), 70_000);
    disk.set(noise(512, 2), disk.length - 512);
    writeFileSync(join(folder, "in.raw"), disk);
    const path = join(folder, "b.img");
    const result = spawnSync("bximage", ["-q", "-func=convert", "-imgmode=growing", join(folder, "in.raw"), path], { maxBuffer: 1 << 26 });
    expect(result.status).toBe(0);
    using file = openFileSource(path);
    const volume = await bochs.open(file, contextOf());
    expect(volume.notes).toEqual([]);
    expect(same(await readVolume(volume), disk)).toBe(true);
  });

  // The same as the sample image of qemu's tests.
  test("an image without any extent", async () => {
    const bytes = new Uint8Array(512 + 512 * 4).fill(0xff);
    bytes.fill(0, 0, 512);
    bytes.set(Header.write({ ...FIELDS, catalog: 512, disk: 1032192n }));
    const volume = await open(bytes);
    expect(await volume.extents(0, volume.size)).toEqual([{ kind: "hole", start: 0, length: 1032192 }]);
    const hash = sha256(await readVolume(volume));
    expect(hash).toBe("85e614bc2ef17bec493b849dbeea34687ba52d7b1fedc4e5fc3729b0fb059aad");
  });

  test.each<[Partial<Fields>, DiskErrorCode]>([
    [{ magic: ascii("Bochs Virtual HD", 32) }, "corrupt"],
    [{ type: ascii("Relog", 16) }, "unsupported"],
    [{ subtype: ascii("Undoable", 16) }, "unsupported"],
    [{ subtype: ascii("Volatile", 16) }, "unsupported"],
    [{ version: 0x30000 }, "unsupported"],
    [{ header: 0 }, "corrupt"],
    [{ header: 0xffffffff }, "corrupt"],
    [{ catalog: 0 }, "corrupt"],
    [{ catalog: 0x100000 }, "corrupt"],
    [{ catalog: 0xffffffff }, "corrupt"],
    [{ bitmap: 0 }, "corrupt"],
    [{ bitmap: 0xffffffff }, "corrupt"],
    [{ extent: 0 }, "corrupt"],
    [{ extent: 5000 }, "corrupt"],
    [{ extent: 0x80000000 }, "corrupt"],
    [{ disk: 0n }, "corrupt"],
    [{ disk: 513n }, "corrupt"],
    [{ disk: BigInt((ENTRIES + 1) * UNIT) }, "corrupt"],
    [{ disk: 2n ** 64n - 512n }, "corrupt"],
  ])("%o is refused by name and place", async (fields, code) => {
    const error = await failure(open(sample(fields).bytes));
    expect([error.code, error.file, error.at]).toEqual([code, "d.img", Header.offsetOf(Object.keys(fields)[0] as keyof Fields)]);
  });

  test("catalog entries that share an extent, or point past the file, name the guest range", async () => {
    const { bytes } = sample();
    putEntry(bytes, 4, 0);
    putEntry(bytes, 1, 5);
    putEntry(bytes, 2, 6);
    const volume = await open(bytes);
    const guest = (entry: number) => ({ code: "corrupt", at: CATALOG_AT + entry * 4, guest: { start: entry * UNIT, length: UNIT } });
    for (const entry of [1, 2, 4]) expect(await failure(volume.extents(entry * UNIT + 512, 512))).toMatchObject(guest(entry));
    expect((await volume.extents(0, SIZE)).at(-1)).toMatchObject({ kind: "hole", start: 6 * SECTOR, length: 2 * SECTOR });
  });

  test("a cleared entry, or a file of another length, is a warning", async () => {
    const { bytes } = sample();
    expect((await open(bytes.slice(0, -1))).notes).toMatchObject([{ severity: "warning" }]);
    putEntry(bytes, 3, NOT_ALLOCATED);
    expect((await open(bytes)).notes).toMatchObject([{ severity: "warning" }]);
  });

  test("a file that is cut off loses only the sectors behind the cut", async () => {
    const { bytes, disk } = sample();
    const volume = await open(bytes.slice(0, DATA_AT + STRIDE + SECTOR + 600));
    expect(same(await readVolume(volume, 0, SECTOR), disk.subarray(0, SECTOR))).toBe(true);
    expect(await failure(volume.extents(SECTOR, SECTOR))).toMatchObject({ guest: { start: SECTOR, length: SECTOR } });
    expect(await failure(volume.extents(5 * UNIT, SECTOR))).toMatchObject({ guest: { start: 5 * UNIT, length: SIZE - 5 * UNIT } });
    for (let size = 0; size < DATA_AT; size += 37) await failure(open(bytes.slice(0, size)));
  });
});

test("altered headers and catalogs give a DiskError, a warning or the right bytes, and nothing else", async () => {
  const { bytes, disk } = sample();
  const edits = fc.array(fc.tuple(fc.nat(DATA_AT - 1), fc.nat(255)), { minLength: 1, maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(edits, async (list) => {
      const damaged = bytes.slice();
      for (const [at, value] of list) damaged[at] = value;
      bochs.probe(damaged, damaged);
      const work = open(damaged).then(async (volume) => ({
        notes: volume.notes,
        found: await readVolume(volume, 0, Math.min(volume.size, SIZE)),
      }));
      const result = await work.catch((error: unknown) => error);
      if (result instanceof DiskError) return;
      const { notes, found } = result as Awaited<typeof work>;
      expect(notes.length > 0 || same(found, disk.subarray(0, found.length))).toBe(true);
    }),
    { numRuns: 300 },
  );
});
