import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import type { Occupancy } from "../../core/target.ts";
import { diskBytes, diskOf, noise, patternDisk, type TestDisk } from "../../testing/disks.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { writeLayer } from "../../testing/layer.ts";
import { BAT_AT, DATA_AT, HEADERS, ITEMS_AT, METADATA_AT, REGION_TABLES, setBat } from "../../testing/vhdx-images.ts";
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
    expect(losses(64 * 2 ** 40 + 512)).toEqual(["blocker", "note"]);
    expect(losses(MIB + 512)).toEqual(["note"]);
    expect(losses(4000)).toEqual(["note"]);
    expect(losses(1000)).toEqual(["note", "note"]);
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
      const save = async (part: TestDisk) => (await written(part, { subformat, block_size: "2M" }, `7z-${subformat}.vhdx`)).save(folder);
      expect(isSame(sevenZip!.bytes(["x", "-so", await save(disk)]), diskBytes(disk))).toBe(true);
      expect(sevenZip!.run(["t", "-tvhdx", await save({ ...disk, size: disk.size + 512 })]).stderr).toContain(
        "Cannot open the file as [VHDX]",
      );
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

describe("a layer", () => {
  const ID = "01234567-89ab-4cde-8f01-23456789abcd";
  const DISK_ID = "76543210-89ab-4cde-8f01-23456789abcd";
  const details = { "virtual-disk-id": DISK_ID, "logical-sector-size": 512, "physical-sector-size": 512 };
  const base = { name: "bäse.vhdx", format: "vhdx", size: 5 * GIB, identity: ID, details };
  const specOver = (more: Partial<typeof base> = {}, options: Options = {}, size = 5 * GIB) => ({
    ...specFor(target, size, "top.vhdx", options),
    base: { ...base, ...more },
  });

  test("file parameters, parent locator, block states and sector bitmaps: byte by byte, from the specification's numbers", async () => {
    const writer = target.create(specOver({}, { block_size: "2M" }), testCompute());
    expect(writer.unit).toBe(2 * MIB);
    const file = writeLayer(writer, [
      [3, noise(2 * MIB, 5)],
      [4, null],
      [2048, noise(2 * MIB, 6)],
    ]);
    const view = async (at: number, length: number) => new DataView((await file.read(at, length)).buffer);
    const guid = (text: string) => [...Buffer.from(text.replaceAll("-", ""), "hex")];
    const items = await view(ITEMS_AT, 512);
    expect([items.getUint32(0, true), items.getUint32(4, true)]).toEqual([2 * MIB, 2]);
    const table = await view(METADATA_AT, 32 + 6 * 32);
    expect(table.getUint16(10, true)).toBe(6);
    const entry = 32 + 5 * 32;
    expect([...new Uint8Array(table.buffer, entry, 4)]).toEqual([0x2d, 0x5f, 0xd3, 0xa8]);
    const [offset, length, flags] = [16, 20, 24].map((field) => table.getUint32(entry + field, true)) as [number, number, number];
    expect(flags).toBe(4);
    const locator = Buffer.from(await file.read(METADATA_AT + offset, length));
    expect([...locator.subarray(0, 4), ...locator.subarray(8, 16)]).toEqual([...[0xb7, 0xef, 0x4a, 0xb0], ...guid("b78925b8e9445913")]);
    expect([locator.readUInt16LE(16), locator.readUInt16LE(18)]).toEqual([0, 2]);
    const pairs = [20, 32].map((at) => {
      const text = (place: number, bytes: number) =>
        locator.toString("utf16le", locator.readUInt32LE(place), locator.readUInt32LE(place) + bytes);
      return [text(at, locator.readUInt16LE(at + 8)), text(at + 4, locator.readUInt16LE(at + 10))];
    });
    expect(pairs).toEqual([
      ["parent_linkage", `{${ID}}`],
      ["relative_path", ".\\bäse.vhdx"],
    ]);
    // Two chunks: a sector bitmap entry behind each 2048 blocks.
    const bat = await view(BAT_AT, 4098 * 8);
    const entries = [0, 3, 4, 2048, 2049, 4097].map((i) => Number(bat.getBigUint64(i * 8, true)));
    expect(entries).toEqual([0, 6 * MIB + 6, 2, 4 * MIB + 6, 8 * MIB + 6, 5 * MIB + 6]);
    expect(file.size).toBe(10 * MIB);
    const bits = Buffer.from(await file.read(4 * MIB, 2 * MIB));
    const set = Array.from({ length: 4096 }, (_, block) => block).filter((block) =>
      bits.subarray(block * 512, (block + 1) * 512).some(Boolean),
    );
    expect(set).toEqual([3, 2048]);
    expect(bits.subarray(3 * 512, 4 * 512).every((byte) => byte === 0xff)).toBe(true);

    const volume = await vhdx.open(file, contextOf());
    expect(volume).toMatchObject({ variant: "differencing", notes: [], parent: { name: ".\\bäse.vhdx", id: ID, format: "vhdx" } });
    expect(volume.details).toMatchObject({ "virtual-disk-id": DISK_ID, "physical-sector-size": 512 });
    const kinds = (await volume.extents(0, 5 * GIB)).map(({ kind, start }) => [kind, start / MIB]);
    expect(kinds.slice(0, 4)).toEqual([
      ["hole", 0],
      ["raw", 6],
      ["zero", 8],
      ["hole", 10],
    ]);
    expect(await vhdx.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [], allocatedClusters: 2 });
  });

  test("what it cannot lie over, and how, is told before", () => {
    const refused = (spec: ReturnType<typeof specOver>) => {
      const found = target.overBase!(spec.base, spec).filter(({ severity }) => severity === "blocker");
      if (found.length > 0) expect(() => target.create(spec, testCompute())).toThrow(DiskError);
      expect(target.losses(spec).filter(({ severity }) => severity === "blocker")).toEqual([]);
      expect(target.qemuArguments(spec)).toBe(null);
      return found.map(({ why }) => why).join();
    };
    expect(refused(specOver())).toBe("");
    expect(refused(specOver({ details: {} as typeof details }))).toBe("");
    expect(refused(specOver({ format: "vpc" }))).toContain("the parent of a VHDX is a VHDX");
    expect(refused(specOver({}, { subformat: "fixed" }))).toContain("holds the whole disk");
    expect(refused(specOver({}, { block_size: "4M" }))).toContain("blocks of 1M or 2M");
    expect(refused(specOver({}, { logical_sector_size: "4096" }))).toContain("logical_sector_size must be 512");
    expect(refused(specOver({ identity: "12345678" }))).toContain("no DataWriteGuid");
    expect(refused(specOver({ name: "a\\b.vhdx" }))).toContain("no plain file name");
    expect(refused(specOver({ name: "x".repeat(256) }))).toContain("more than 255");
    const warned = (size: number) =>
      target.overBase!(base, specOver({}, {}, size)).flatMap(({ severity, what }) => (severity === "warning" ? [what] : []));
    expect([warned(base.size + 4096), warned(base.size), warned(base.size - 4096)]).toEqual([
      ["The base is smaller"],
      [],
      ["The base is larger"],
    ]);
  });

  test("the automatic block size is 1 MiB up to 1 TiB, then 2 MiB: a layer holds whole blocks of what differs", () => {
    const unit = (size: number) => target.create(specOver({ size }, {}, size), testCompute()).unit;
    expect([unit(MIB), unit(2 ** 40), unit(2 ** 40 + 512), unit(64 * 2 ** 40)]).toEqual([MIB, MIB, 2 * MIB, 2 * MIB]);
    expect(target.settle!(specOver(), () => 1)["block_size"]).toBe("auto");
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
