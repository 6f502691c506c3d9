import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Occupancy } from "../../core/model.ts";
import { diskBytes, diskOf, noise, patternDisk, type TestDisk } from "../../testing/disks.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { BAT_AT, DATA_AT, HEADERS, REGION_TABLES, setBat } from "../../testing/vhdx-images.ts";
import { vhdx } from "./index.ts";

const target = vhdx.target!;
const qemu = judge("qemu-img");
const sevenZip = judge("7zz");
const info = judge("vhdiinfo");
const folder = mkdtempSync(join(tmpdir(), "vhdx-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 1 << 20;
const GIB = 1 << 30;
type Options = Readonly<Record<string, string>>;
const written = (disk: TestDisk, options: Options = {}, name = "d.vhdx") =>
  writeImage(target.create(specFor(target, disk.size, name, options), testCompute()), disk);
const open = (image: Awaited<ReturnType<typeof written>>) => vhdx.open(image.files[0]!, contextOf());
const isSame = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

describe("writing", () => {
  test("everything lies at multiples of 1 MiB; both headers and region tables are there, the log is empty", async () => {
    const disk = diskOf(5 * MIB, MIB, new Map([0, 2, 3].map((i) => [i, noise(MIB, i + 1)])));
    const image = await written(disk, { block_size: "1M" });
    const file = image.files[0]!;
    expect(image.sizes).toEqual([DATA_AT + 3 * MIB]);
    const volume = await open(image);
    expect(volume.details).toMatchObject({ creator: "Spindle", "block-size": MIB, "sequence-number": "2", "log-entries-replayed": 0 });
    expect(volume).toMatchObject({ variant: "dynamic", unit: MIB, notes: [] });
    expect(volume.files).toEqual([file]);
    const ids = ["virtual-disk-id", "file-write-guid", "data-write-guid"].map((name) => volume.details[name] as string);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/);
    expect(new Set(ids).size).toBe(3);
    expect(volume.identity).toBe(ids[2]);
    expect(await file.read(HEADERS[0] + 48, 16)).toEqual(new Uint8Array(16));
    expect(await file.read(REGION_TABLES[0], 65536)).toEqual(await file.read(REGION_TABLES[1], 65536));
    const bat = new DataView((await file.read(BAT_AT, 40)).buffer);
    expect([0, 1, 2, 3, 4].map((i) => Number(bat.getBigUint64(i * 8, true)))).toEqual([4 * MIB + 6, 0, 5 * MIB + 6, 6 * MIB + 6, 0]);
  });

  test("the sector bitmap entries stand between the chunks", async () => {
    const starts = [0, 4 * GIB - MIB, 4 * GIB, 8 * GIB, 12 * GIB + 5 * MIB];
    const pieces = starts.map((start, i) => ({ start, bytes: new Uint8Array(MIB).fill(i + 1) }));
    const image = await written({ size: 13 * GIB, pieces }, { block_size: "1M" });
    const entry = async (index: number) => new DataView((await image.files[0]!.read(BAT_AT + index * 8, 8)).buffer).getBigUint64(0, true);
    expect(await Promise.all([4095, 4096, 4097, 8193, 8194].map(entry))).toEqual([5 * MIB + 6, 0, 6 * MIB + 6, 0, 7 * MIB + 6].map(BigInt));
    const volume = await open(image);
    for (const [i, start] of starts.entries()) expect((await readVolume(volume, start + MIB - 1, 1))[0]).toBe(i + 1);
  });

  test("what is written first is data, what is written last makes it a VHDX", () => {
    const writer = target.create(specFor(target, 5 * MIB, "d.vhdx"), testCompute());
    const [data] = writer.put(1, { kind: "data", bytes: new Uint8Array(MIB).fill(1) });
    expect(data).toMatchObject({ file: 0, at: DATA_AT });
    expect([...writer.end().writes].at(-1)).toMatchObject({ at: 0 });
  });

  test("an empty disk of 64 TiB writes no table; a fixed one of 1 TiB all of it", () => {
    const empty = target.create(specFor(target, 64 * 2 ** 40, "d", { block_size: "1M" }), testCompute()).end();
    expect(empty.sizes[0]).toBe(3 * MIB + 513 * MIB);
    expect([...empty.writes].reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(200_000);
    const fixed = target.create(specFor(target, 2 ** 40, "d", { subformat: "fixed", block_size: "32M" }), testCompute()).end();
    expect(fixed.sizes[0]).toBe(4 * MIB + 2 ** 40);
    expect([...fixed.writes][0]?.bytes.length).toBe((32768 + 255) * 8);
  });

  test("an id is taken as it is; what is none is a usage error and a blocker", async () => {
    const id = "01234567-89AB-4CDE-8f01-23456789abcd";
    const disk = patternDisk(2);
    expect((await open(await written(disk, { id }))).details["virtual-disk-id"]).toBe(id.toLowerCase());
    for (const wrong of ["1", "{01234567-89AB-4CDE-8f01-23456789abcd", "00000000-0000-0000-0000-000000000000"]) {
      expect(() => target.create(specFor(target, MIB, "d", { id: wrong }), testCompute())).toThrow(
        expect.objectContaining({ code: "usage" }),
      );
      expect(target.losses(specFor(target, MIB, "d", { id: wrong }))).toMatchObject([{ severity: "blocker" }]);
    }
  });

  test("limits are told before the work", () => {
    const losses = (size: number, options: Options = {}) =>
      target.losses(specFor(target, size, "d", options)).map(({ severity }) => severity);
    expect(losses(64 * 2 ** 40)).toEqual([]);
    expect(losses(64 * 2 ** 40 + 512)).toEqual(["blocker"]);
    expect(losses(1000)).toEqual(["note"]);
    expect(losses(8192, { logical_sector_size: "4096" })).toEqual(["warning"]);
    expect(losses(8192 + 512, { logical_sector_size: "4096" })).toEqual(["blocker", "warning"]);
  });

  test("sectors of 4096 bytes", async () => {
    const disk = diskOf(3 * MIB + 4096, MIB, new Map([[3, noise(4096, 1)]]));
    const image = await written(disk, { logical_sector_size: "4096" });
    const volume = await open(image);
    expect(volume.details["logical-sector-size"]).toBe(4096);
    expect(isSame(await readVolume(volume), diskBytes(disk))).toBe(true);
    expect(target.qemuArguments(specFor(target, MIB, "d", { logical_sector_size: "4096" }))).toBeNull();
  });

  const DISK: TestDisk = { size: 70 * MIB - 512, pieces: [1, 20, 33, 69].map((i) => ({ start: i * MIB, bytes: noise(MIB - 512, i + 1) })) };
  describe.each(["dynamic", "fixed"])("subformat=%s", (subformat) => {
    test.skipIf(qemu === null).each(["1M", "32M"])("block_size=%s: qemu-img finds the same disk and no fault", async (size) => {
      const path = (await written(DISK, { subformat, block_size: size }, `${subformat}${size}.vhdx`)).save(folder);
      writeFileSync(join(folder, "raw"), diskBytes(DISK));
      expect(qemu!.must(["compare", "-f", "vhdx", "-F", "raw", path, join(folder, "raw")])).toContain("identical");
      expect(qemu!.must(["check", "-f", "vhdx", path])).toContain("No errors");
      expect(JSON.parse(qemu!.must(["info", "--output=json", path]))).toMatchObject({ "cluster-size": Number.parseInt(size, 10) * MIB });
    });

    test.skipIf(sevenZip === null)("7-Zip, which wants whole 4 KiB, reads the same disk", async () => {
      const disk = { ...DISK, size: DISK.size - 4096 + 512, pieces: DISK.pieces.slice(0, 3) };
      const path = (await written(disk, { subformat, block_size: "2M" }, `7z-${subformat}.vhdx`)).save(folder);
      expect(isSame(sevenZip!.bytes(["x", "-so", path]), diskBytes(disk))).toBe(true);
    });

    test.skipIf(info === null)("libvhdi tells the same of it", async () => {
      const path = (await written(DISK, { subformat }, `i-${subformat}.vhdx`)).save(folder);
      const told = info!.must([path]);
      expect(told).toMatch(new RegExp(`Disk type\\s*:\\s+${subformat}`, "i"));
      expect(told).toContain(`${DISK.size} bytes`);
    });

    test.skipIf(qemu === null)("what qemu-img writes reads the same, and has no fault", async () => {
      const path = join(folder, `q-${subformat}.vhdx`);
      writeFileSync(join(folder, "raw"), diskBytes(DISK));
      qemu!.must(["convert", "-f", "raw", "-O", "vhdx", "-o", `subformat=${subformat}`, join(folder, "raw"), path]);
      using file = openFileSource(path);
      const volume = await vhdx.open(file, contextOf());
      expect(volume.notes).toEqual([]);
      expect(isSame(await readVolume(volume), readFileSync(join(folder, "raw")))).toBe(true);
      expect(await vhdx.check!(file, contextOf())).toMatchObject({ corruptions: 0 });
    });
  });
});

describe("the automatic block size", () => {
  const settled = (size: number, occupancy: Occupancy, options: Options = {}) =>
    target.settle!(specFor(target, size, "d", options), occupancy)["block_size"];
  /** `count` mebibytes, `step` apart. */
  const scattered =
    (count: number, step: number): Occupancy =>
    (unit) =>
      new Set(Array.from({ length: count }, (_, i) => Math.floor((i * step * MIB) / unit))).size;

  test("scattered data gets small blocks, dense data large ones", () => {
    expect(settled(GIB, scattered(400, 2))).toBe("1M");
    expect(settled(100 * GIB, scattered(50_000, 2))).toBe("1M");
    expect(settled(100 * GIB, scattered(100 * 1024, 1))).toBe("32M");
    expect(settled(10 * GIB, (unit) => Math.ceil((10 * MIB) / unit))).toBe("2M");
  });
  test("a disk that is all data, as far as the map can tell, stays with small blocks: its zeros are found while it is read", () => {
    expect(settled(100 * GIB, (unit) => (100 * GIB) / unit)).toBe("auto");
  });
  test("a large table is counted: an empty disk of 64 TiB gets large blocks", () => {
    expect(settled(64 * 2 ** 40, () => 0)).toBe("32M");
  });
  test("a fixed image is its own size in any case; what was chosen stays", () => {
    expect(settled(33 * MIB, () => 0, { subformat: "fixed" })).toBe("1M");
    expect(settled(64 * GIB, () => 0, { subformat: "fixed" })).toBe("32M");
    expect(settled(GIB, () => 0, { block_size: "8M" })).toBe("8M");
  });
  test("unsettled it is 1 MiB up to 1 TiB, then what keeps the table small", async () => {
    const unit = async (size: number) => (await open(await written({ size, pieces: [] }))).unit;
    expect([await unit(MIB), await unit(2 ** 40), await unit(2 ** 40 + 512), await unit(64 * 2 ** 40)]).toEqual([
      MIB,
      MIB,
      2 * MIB,
      64 * MIB,
    ]);
  });
});

describe("check", () => {
  test("a sound image, in order and out of it, and what nothing uses", async () => {
    const image = await written(diskOf(5 * MIB, MIB, new Map([0, 2, 3].map((i) => [i, noise(MIB, i + 1)]))), { block_size: "1M" });
    const file = image.files[0]!;
    const check = () => vhdx.check!(file, contextOf());
    const sound = { corruptions: 0, leaks: 0, allocatedClusters: 3, totalClusters: 5, compressedClusters: 0, imageEndOffset: 7 * MIB };
    expect(await check()).toEqual({ ...sound, fragmentedClusters: 0, findings: [] });
    setBat(file, 0, 6, 6 * MIB);
    setBat(file, 3, 6, 4 * MIB);
    expect(await check()).toEqual({ ...sound, fragmentedClusters: 2, findings: [] });
    setBat(file, 2, 0);
    file.truncate(9 * MIB + 100);
    const report = await check();
    expect(report).toMatchObject({ corruptions: 0, leaks: 4, allocatedClusters: 2, imageEndOffset: 7 * MIB });
    expect(report.findings).toEqual([
      { severity: "leak", text: expect.any(String), at: 5 * MIB, guest: null },
      { severity: "leak", text: expect.stringContaining(`${2 * MIB + 100} bytes`), at: 7 * MIB, guest: null },
    ]);
  });
});
