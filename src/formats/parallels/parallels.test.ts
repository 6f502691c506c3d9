import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import type { DiskErrorCode } from "../../core/errors.ts";
import { diskBytes, diskOf, patternDisk, same } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { SparseFile } from "../../testing/sparse-file.ts";
import { parallels } from "./index.ts";
import { CLOSED, DirtyBitmap, EXTENSION_MAGIC, ExtensionHeader, FEATURE_DIRTY_BITMAP, Feature, Header, IN_USE } from "./spec.ts";

const target = parallels.target!;
const qemu = judge("qemu-img");
const folder = mkdtempSync(join(tmpdir(), "parallels-"));
afterAll(() => rmSync(folder, { recursive: true }));

const K64 = 1 << 16;
const BAT_AT = Header.bytes;
type Fields = Parameters<typeof Header.write>[0];

/** Clusters 0, 2 and 3 of a disk of five 64 KiB clusters but one sector, in clusters 1, 2 and 3 of the file. */
async function sample(): Promise<Uint8Array<ArrayBuffer>> {
  const size = 5 * K64 - 512;
  const disk = diskOf(size, K64, new Map([0, 2, 3].map((i) => [i, new Uint8Array(K64).fill(i + 1)])));
  const image = await writeImage(target.create(specFor(target, size, "d.hdd", { cluster_size: "64k" }), testCompute()), disk);
  return image.files[0]!.read(0, image.sizes[0]!);
}
const change = (bytes: Uint8Array, fields: Partial<Fields>) => bytes.set(Header.write({ ...Header.read(bytes), ...fields }));
const put = (bytes: Uint8Array, entry: number, value: number) =>
  new DataView(bytes.buffer).setUint32(BAT_AT + entry * 4, value >>> 0, true);
const open = (bytes: Uint8Array) => parallels.open(memorySource("d.hdd", bytes), contextOf());

const warnings = (notes: readonly { text: string; severity: string }[]) =>
  notes.filter(({ severity }) => severity === "warning").map(({ text }) => text);

describe("reading", () => {
  test.each<[Partial<Fields>, DiskErrorCode, (keyof Fields)?]>([
    [{ magic: new TextEncoder().encode("WithoutFreeSpacE") }, "corrupt"],
    [{ version: 9 }, "unsupported"],
    [{ tracks: 0 }, "corrupt"],
    [{ tracks: 0xffffffff }, "corrupt"],
    [{ tracks: 64 }, "corrupt", "nb_bat_entries"],
    [{ tracks: 256 }, "corrupt", "data_off"],
    [{ nb_bat_entries: 0 }, "corrupt"],
    [{ nb_bat_entries: 4 }, "corrupt"],
    [{ nb_bat_entries: 0xffffffff }, "corrupt"],
    [{ nb_sectors: 0n }, "corrupt"],
    [{ nb_sectors: 2n ** 64n - 1n }, "corrupt", "nb_bat_entries"],
    [{ data_off: 0 }, "corrupt"],
    [{ data_off: 127 }, "corrupt"],
    [{ data_off: 128 * 100 }, "corrupt"],
  ])("%o is refused by name and place", async (fields, code, named) => {
    const bytes = await sample();
    change(bytes, fields);
    const field = named ?? (Object.keys(fields)[0] as keyof Fields);
    const error = await failure(open(bytes));
    expect([error.code, error.file, error.at]).toEqual([code, "d.hdd", Header.offsetOf(field)]);
    expect(parallels.probe(bytes, bytes)).toBe(fields.magic === undefined);
  });

  test.each<[Partial<Fields>, RegExp]>([
    [{ in_use: IN_USE }, /in use/],
    [{ in_use: 7 }, /no meaning/],
    [{ flags: 1 }, /marked as empty/],
    [{ flags: 8 }, /without a meaning/],
    [{ nb_bat_entries: 6 }, /needs only 5/],
    [{ ext_off: 2n ** 60n }, /past the end/],
    [{ ext_off: 1n }, /no cluster of the data area/],
  ])("%o is a warning, and the disk reads right", async (fields, text) => {
    const bytes = await sample();
    const expected = await readVolume(await open(bytes));
    change(bytes, fields);
    const volume = await open(bytes);
    expect(warnings(volume.notes)).toEqual([expect.stringMatching(text)]);
    expect(same(await readVolume(volume), expected)).toBe(true);
  });

  describe.each([0, 7])("the old magic: entries in sectors, any cluster size; data_off %i", (data_off) => {
    const unit = 63 * 512;
    const expected = new Uint8Array(150 * 512).fill(1, 2 * unit).fill(2, 0, unit);
    const oldSample = async (): Promise<Uint8Array<ArrayBuffer>> => {
      const header = { ...Header.read(await sample()), magic: new TextEncoder().encode("WithoutFreeSpace"), tracks: 63, in_use: 0 };
      const dataSector = data_off || 1;
      const bytes = new Uint8Array(dataSector * 512 + 2 * unit);
      bytes.set(Header.write({ ...header, nb_bat_entries: 3, nb_sectors: 150n, data_off }));
      put(bytes, 0, dataSector + 63);
      put(bytes, 2, dataSector);
      bytes.fill(1, dataSector * 512, dataSector * 512 + unit);
      bytes.fill(2, dataSector * 512 + unit);
      return bytes;
    };

    test("is read, with 32 bits of disk size", async () => {
      const bytes = await oldSample();
      expect(warnings((await open(bytes)).notes)).toEqual([]);
      change(bytes, { nb_sectors: 0x1_0000_0000n + 150n });
      const volume = await open(bytes);
      expect([volume.variant, volume.unit, volume.size]).toEqual(["old magic", unit, 150 * 512]);
      expect(warnings(volume.notes)).toEqual([expect.stringContaining("lower half")]);
      expect(same(await readVolume(volume), expected)).toBe(true);
    });
    test.skipIf(qemu === null)("qemu-img reads the same", async () => {
      writeFileSync(join(folder, "old.hdd"), await oldSample());
      writeFileSync(join(folder, "old.raw"), expected);
      expect(qemu!.must(["compare", "-f", "parallels", "-F", "raw", join(folder, "old.hdd"), join(folder, "old.raw")])).toContain(
        "identical",
      );
    });
  });

  test("a size past 2^53 is refused, though the table would be long enough", async () => {
    const file = new SparseFile("d.hdd");
    const tracks = 1 << 22;
    const dataAt = 2 ** 31;
    const fields = { ...Header.read(await sample()), tracks, nb_bat_entries: 2 ** 23, nb_sectors: 2n ** 45n, data_off: dataAt / 512 };
    file.write(0, Header.write(fields));
    file.truncate(dataAt);
    const error = await failure(parallels.open(file, contextOf()));
    expect([error.code, error.at]).toEqual(["limit", Header.offsetOf("nb_sectors")]);
  });

  test("entries outside the data area and shared ones name the guest range; what lies before them is still told", async () => {
    const bytes = await sample();
    put(bytes, 1, 3);
    put(bytes, 2, 77);
    put(bytes, 4, 0x80000000);
    const volume = await open(bytes);
    expect(await volume.extents(0, volume.size)).toEqual([
      { kind: "raw", start: 0, length: K64, file: 0, at: K64 },
      { kind: "raw", start: K64, length: K64, file: 0, at: 3 * K64 },
    ]);
    const guest = (entry: number, length = K64) => ({ code: "corrupt", at: BAT_AT + entry * 4, guest: { start: entry * K64, length } });
    expect(await failure(volume.extents(2 * K64 + 512, 512))).toMatchObject(guest(2));
    expect(await failure(volume.extents(3 * K64, K64))).toMatchObject({
      ...guest(3),
      message: expect.stringContaining("in use elsewhere"),
    });
    expect(await failure(volume.extents(4 * K64, 512))).toMatchObject(guest(4, K64 - 512));
  });

  test("an entry inside the header or off the grid of the data area", async () => {
    const old = await sample();
    change(old, { magic: new TextEncoder().encode("WithoutFreeSpace") });
    for (const [i, sector] of [1, 130, 128, 256, 0].entries()) put(old, i, sector);
    const volume = await open(old);
    expect((await failure(volume.extents(0, 512))).message).toContain("before the data area");
    expect((await failure(volume.extents(K64, 512))).message).toContain("whole number of clusters");
    expect((await readVolume(volume, 2 * K64, 2 * K64))[K64]).toBe(3);
  });

  test("a file that is cut off loses only the clusters behind the cut", async () => {
    const bytes = await sample();
    const volume = await open(bytes.slice(0, bytes.length - 1));
    expect(await volume.extents(2 * K64, 2 * K64)).toMatchObject([{ kind: "raw", start: 2 * K64, length: K64 }]);
    expect((await failure(volume.extents(3 * K64, K64))).guest).toEqual({ start: 3 * K64, length: K64 });
  });

  test("dirty bitmaps are named, and the clusters they use are not leaks", async () => {
    const bytes = await withBitmap();
    const volume = await open(bytes);
    expect(warnings(volume.notes)).toEqual([]);
    expect(volume.details["bitmaps"]).toEqual([{ id: "0102030405060708090a0b0c0d0e0f10", granularity: 128 }]);
    const file = memorySource("d.hdd", bytes);
    expect(await parallels.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    put(bytes, 1, 5);
    expect(await parallels.check!(file, contextOf())).toMatchObject({ corruptions: 1 });
    new DataView(bytes.buffer).setUint32(4 * K64 + ExtensionHeader.bytes + 16, 0xffffff, true);
    expect(warnings((await open(bytes)).notes)).toEqual([expect.stringContaining("does not fit")]);
  });
});

/** The sample, then a cluster of the format extension and one of a dirty bitmap. */
async function withBitmap(): Promise<Uint8Array<ArrayBuffer>> {
  const image = await sample();
  const bytes = new Uint8Array(image.length + 2 * K64);
  bytes.set(image);
  change(bytes, { ext_off: 4n * 128n });
  const id = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
  const table = new Uint8Array(new BigUint64Array([1n, 5n * 128n, 0n]).buffer);
  const parts = [
    ExtensionHeader.write({ magic: EXTENSION_MAGIC, checksum: new Uint8Array(16) }),
    Feature.write({ magic: FEATURE_DIRTY_BITMAP, flags: 0n, data_size: DirtyBitmap.bytes + table.length, unused: 0 }),
    DirtyBitmap.write({ size: 639n, id, granularity: 128, l1_size: 3 }),
    table,
  ];
  let at = 4 * K64;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

describe("writing", () => {
  test("header and table", async () => {
    const bytes = await sample();
    const header = Header.read(bytes);
    expect(header).toMatchObject({
      version: 2,
      tracks: 128,
      nb_bat_entries: 5,
      nb_sectors: 639n,
      in_use: CLOSED,
      data_off: 128,
      ext_off: 0n,
    });
    expect([...new Uint32Array(bytes.buffer, BAT_AT, 5)]).toEqual([1, 0, 2, 3, 0]);
  });

  test("an empty disk of 64 TiB keeps no table in memory and yields it in pieces", () => {
    const size = 64 * 2 ** 40;
    const writer = target.create(specFor(target, size, "d.hdd"), testCompute());
    const { writes, sizes } = writer.end();
    expect(sizes).toEqual([257 * 2 ** 20]);
    const [first] = writes;
    expect(first).toMatchObject({ file: 0, at: BAT_AT });
    expect(first?.bytes.length).toBe(1 << 20);
    expect(target.losses(specFor(target, size, "d.hdd"))).toEqual([]);
    expect(target.losses(specFor(target, 0x20000000 * 2 ** 20, "d.hdd"))).toMatchObject([{ severity: "blocker" }]);
  });

  test("a bundle: the descriptor names the image, and opens it", async () => {
    const disk = patternDisk(3);
    const size = disk.size - 512;
    const pieces = disk.pieces.map(({ start, bytes }) => ({ start, bytes: bytes.subarray(0, size - start) }));
    const spec = specFor(target, size, "d&<.hdd", { bundle: "on" });
    const image = await writeImage(target.create(spec, testCompute()), { size, pieces });
    expect(image.files.map(({ name }) => name)).toEqual(["d&<.hdd", "DiskDescriptor.xml"]);
    const descriptor = image.files[1]!;
    const head = await descriptor.read(0, descriptor.size);
    expect(parallels.probe(head, head)).toBe(true);
    const volume = await parallels.open(descriptor, contextOf(image.files));
    expect([volume.variant, volume.size, volume.unit, volume.notes]).toEqual(["bundle", size, 1 << 20, []]);
    expect(same(await readVolume(volume), diskBytes({ size, pieces }))).toBe(true);
    expect(await parallels.check!(descriptor, contextOf(image.files))).toMatchObject({
      corruptions: 0,
      allocatedClusters: 2,
      findings: [],
    });
    expect(target.losses(specFor(target, size, "DiskDescriptor.xml", { bundle: "on" }))).toMatchObject([{ severity: "blocker" }]);
    expect(target.losses(spec)).toMatchObject([{ severity: "note", why: expect.stringContaining("is refused") }]);
    expect(target.qemuArguments(spec)).toBe(null);
  });

  test.skipIf(qemu === null).each(["64k", "1M", "2M"])("cluster_size=%s: qemu-img finds the same disk and no fault", async (value) => {
    const disk = patternDisk(5);
    const image = await writeImage(target.create(specFor(target, disk.size, `${value}.hdd`, { cluster_size: value }), testCompute()), disk);
    const path = image.save(folder);
    writeFileSync(join(folder, "raw"), diskBytes(disk));
    expect(qemu!.must(["compare", "-f", "parallels", "-F", "raw", path, join(folder, "raw")])).toContain("identical");
    expect(qemu!.must(["check", "-f", "parallels", path])).toContain("No errors");
    using file = openFileSource(path);
    const { findings: _, ...own } = await parallels.check!(file, contextOf());
    const theirs = JSON.parse(qemu!.must(["check", "-f", "parallels", "--output=json", path])) as Record<string, number>;
    expect(own).toMatchObject({
      allocatedClusters: theirs["allocated-clusters"],
      totalClusters: theirs["total-clusters"],
      fragmentedClusters: theirs["fragmented-clusters"] ?? 0,
      imageEndOffset: theirs["image-end-offset"],
    });
  });

  test.skipIf(qemu === null)("what qemu-img writes reads the same, and its check agrees", async () => {
    writeFileSync(join(folder, "in.raw"), diskBytes(patternDisk(3)).subarray(0, 3 * (1 << 20) - 1536));
    const path = join(folder, "q.hdd");
    qemu!.must(["convert", "-f", "raw", "-O", "parallels", "-o", "cluster_size=65536", join(folder, "in.raw"), path]);
    using file = openFileSource(path);
    const volume = await parallels.open(file, contextOf());
    expect(volume.notes).toEqual([]);
    expect(Buffer.compare(await readVolume(volume), readFileSync(join(folder, "in.raw")))).toBe(0);
    expect(await parallels.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
  });
});

describe("check", () => {
  const check = async (edit: (bytes: Uint8Array) => void) => {
    const bytes = await sample();
    edit(bytes);
    return parallels.check!(memorySource("d.hdd", bytes), contextOf());
  };
  test("a sound image", async () => {
    expect(await check(() => {})).toEqual({
      corruptions: 0,
      leaks: 0,
      allocatedClusters: 3,
      totalClusters: 5,
      compressedClusters: 0,
      fragmentedClusters: 0,
      imageEndOffset: 4 * K64,
      findings: [],
    });
  });
  test("a shared cluster, an entry past the end, a lost cluster and the in-use mark", async () => {
    const report = await check((bytes) => {
      put(bytes, 2, 1);
      put(bytes, 4, 9);
      change(bytes, { in_use: IN_USE });
    });
    expect(report).toMatchObject({ corruptions: 2, leaks: 1, allocatedClusters: 4 });
    expect(report.findings.map(({ severity, at, guest }) => [severity, at, guest?.start])).toEqual([
      ["warning", null, undefined],
      ["corruption", BAT_AT + 8, 2 * K64],
      ["corruption", BAT_AT + 16, 4 * K64],
      ["leak", 2 * K64, undefined],
    ]);
  });
});
