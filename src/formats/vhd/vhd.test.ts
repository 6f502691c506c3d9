import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { countingSource } from "../../testing/counting-source.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, openWritten, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { writeLayer } from "../../testing/layer.ts";
import { readByLibvhdi } from "../../testing/libvhdi.ts";
import { vhd } from "./index.ts";
import { checksumOf, Footer, Header, tagText } from "./spec.ts";

const target = vhd.target!;
const qemu = judge("qemu-img");
const sevenZip = judge("7zz");
const vhdiinfo = judge("vhdiinfo");
const folder = mkdtempSync(join(tmpdir(), "vhd-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 1 << 20;
const GIB = 2 ** 30;
const UNIT = 2 * MIB;
const ID = "01234567-89ab-4cde-8f01-23456789abcd";
const KINDS = ["dynamic", "fixed"] as const;
/** Blocks 0 and 3 hold something, block 3 only at the very end of the disk. */
const diskOfSize = (size: number): TestDisk => ({
  size,
  pieces: [{ start: 0, bytes: noise(Math.min(1536, size), 1) }, ...(size > 8 * 512 ? [{ start: size - 1024, bytes: noise(1024, 2) }] : [])],
});
const write = (disk: TestDisk, options: Readonly<Record<string, string>>, name = "d.vhd") =>
  writeImage(target.create(specFor(target, disk.size, name, options), testCompute()), disk);

describe("what is written", () => {
  test("dynamic: footer, header, table, blocks with their bitmaps, footer; nothing else", async () => {
    const disk = diskOfSize(7 * MIB);
    const { files, sizes } = await write(disk, { id: `{${ID.toUpperCase()}}` });
    const bytes = await files[0]!.read(0, sizes[0]!);
    expect(bytes.length).toBe(2048 + 2 * (512 + UNIT) + 512);
    const end = bytes.length - 512;
    expect(bytes.subarray(0, 512)).toEqual(bytes.subarray(end));
    const footer = Footer.read(bytes);
    expect(footer).toMatchObject({
      features: 2,
      dataOffset: 512n,
      timeStamp: 0,
      diskType: 3,
      originalSize: 7340032n,
      currentSize: 7340032n,
    });
    expect([tagText(footer.cookie), tagText(footer.creatorApplication)]).toEqual(["conectix", "win "]);
    expect(footer.checksum).toBe(checksumOf(bytes.subarray(0, 512), 64));
    expect(Buffer.from(footer.uniqueId).toString("hex")).toBe(ID.replaceAll("-", ""));
    const header = Header.read(bytes, 512);
    expect(header).toMatchObject({ tableOffset: 1536n, maxTableEntries: 4, blockSize: UNIT, dataOffset: 2n ** 64n - 1n });
    expect(header.checksum).toBe(checksumOf(bytes.subarray(512, 1536), 36));
    const table = new DataView(bytes.buffer, 1536, 512);
    expect([0, 1, 2, 3, 4, 127].map((i) => table.getUint32(i * 4))).toEqual([4, 0xffffffff, 0xffffffff, 4101, 0xffffffff, 0xffffffff]);
    for (const at of [2048, 2048 + 512 + UNIT]) expect(bytes.subarray(at, at + 512).every((byte) => byte === 0xff)).toBe(true);
  });

  test("fixed: the disk, then the footer; the id follows from the content", async () => {
    const disk = diskOfSize(3 * MIB + 512);
    const image = await write(disk, { subformat: "fixed" });
    const bytes = await image.files[0]!.read(0, image.sizes[0]!);
    expect(Buffer.compare(bytes.subarray(0, disk.size), diskBytes(disk))).toBe(0);
    expect(Footer.read(bytes, disk.size)).toMatchObject({ diskType: 2, dataOffset: 2n ** 64n - 1n, currentSize: BigInt(disk.size) });
    expect((await openWritten(vhd, image)).identity).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/);
  });

  test("a disk of 2040 GiB; its table comes in pieces", async () => {
    const size = 2040 * GIB;
    const disk: TestDisk = { size, pieces: [{ start: size - 512, bytes: noise(512, 3) }] };
    const image = await write(disk, {});
    const file = image.files[0]!;
    const counted = countingSource(file);
    const volume = await vhd.open(counted, contextOf());
    expect(volume.size).toBe(size);
    expect(await volume.extents(1000 * GIB, GIB)).toMatchObject([{ kind: "hole", start: 1000 * GIB, length: GIB }]);
    expect(counted.bytesRead).toBeLessThan(200_000);
    expect(Buffer.compare(await readVolume(volume, size - 512), noise(512, 3))).toBe(0);
    const fixed = target.create(specFor(target, size, "f.vhd", { subformat: "fixed" }), testCompute());
    expect(fixed.end().sizes).toEqual([size + 512]);
  });

  test("what cannot be written is told before", () => {
    const lossesOf = (size: number, options = {}) => target.losses(specFor(target, size, "d", options));
    for (const subformat of KINDS) {
      expect(lossesOf(2040 * GIB, { subformat })).toEqual([]);
      expect(lossesOf(2040 * GIB + 512, { subformat })).toMatchObject([{ severity: "blocker" }]);
    }
    expect(lossesOf(1000)).toMatchObject([{ severity: "note", what: "The disk grows by 24 bytes" }]);
    for (const options of [{ id: "x" }, { id: `${ID}0` }, { id: "00000000-0000-0000-0000-000000000000" }, { subformat: "differencing" }]) {
      expect(lossesOf(MIB, options)).toMatchObject([{ severity: "blocker" }]);
      expect(() => target.create(specFor(target, MIB, "d", options), testCompute())).toThrow(DiskError);
      expect(target.qemuArguments(specFor(target, MIB, "d", options))).toBe(null);
    }
    expect(target.qemuArguments(specFor(target, MIB, "d"))).toEqual(["-O", "vpc", "-o", "subformat=dynamic,force_size=on"]);
  });
});

describe("a layer", () => {
  const base = { name: "basé.vhd", format: "vpc", size: 7 * MIB, identity: ID, details: {} };
  const specOver = (more: Partial<typeof base> = {}, options = {}, size = 7 * MIB) => ({
    ...specFor(target, size, "top.vhd", options),
    base: { ...base, ...more },
  });

  test("header, table, the parent's two paths, whole blocks with all bits set: byte by byte, from the specification's numbers", async () => {
    const writer = target.create(specOver(), testCompute());
    const file = writeLayer(writer, [
      [1, noise(UNIT, 5)],
      [2, null],
    ]);
    const bytes = await file.read(0, file.size);
    const view = new DataView(bytes.buffer);
    expect(view.getUint32(60)).toBe(4);
    const text = (at: number, length: number, encoding: BufferEncoding) => Buffer.from(bytes.subarray(at, at + length)).toString(encoding);
    expect(text(512 + 40, 16, "hex")).toBe(ID.replaceAll("-", ""));
    expect(view.getUint32(512 + 56)).toBe(0);
    const bigEndian = Buffer.from(bytes.subarray(512 + 64, 512 + 64 + 18)).swap16();
    expect(bigEndian.toString("utf16le")).toBe("basé.vhd\0");
    const path = ".\\basé.vhd";
    for (const [i, code] of ["W2ru", "W2ku"].entries()) {
      const at = 512 + 576 + i * 24;
      const pathAt = 2048 + i * 512;
      expect(text(at, 4, "latin1")).toBe(code);
      expect([4, 8, 12].map((field) => view.getUint32(at + field))).toEqual([512, path.length * 2, 0]);
      expect(view.getBigUint64(at + 16)).toBe(BigInt(pathAt));
      expect(text(pathAt, path.length * 2 + 2, "utf16le")).toBe(`${path}\0`);
    }
    expect(bytes.subarray(512 + 576 + 48, 512 + 768).every((byte) => byte === 0)).toBe(true);
    const dataAt = 2048 + 1024;
    expect([0, 1, 2, 3].map((i) => view.getUint32(1536 + i * 4))).toEqual([
      0xffffffff,
      dataAt / 512,
      (dataAt + 512 + UNIT) / 512,
      0xffffffff,
    ]);
    expect(file.size).toBe(dataAt + 2 * (512 + UNIT) + 512);
    const [first, second] = [dataAt, dataAt + 512 + UNIT];
    for (const at of [first, second]) expect(bytes.subarray(at, at + 512).every((byte) => byte === 0xff)).toBe(true);
    expect(Buffer.compare(bytes.subarray(first + 512, second), noise(UNIT, 5))).toBe(0);
    expect(bytes.subarray(second + 512, second + 512 + UNIT).every((byte) => byte === 0)).toBe(true);

    const volume = await vhd.open(file, contextOf());
    expect(volume).toMatchObject({ variant: "differencing", notes: [], parent: { name: path, id: ID, format: "vpc" } });
    expect(volume.parent?.changed).toBe(undefined);
    expect((await volume.extents(0, volume.size)).map(({ kind }) => kind)).toEqual(["hole", "raw", "raw", "hole"]);
    expect(await vhd.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [], allocatedClusters: 2 });
  });

  test("what it cannot lie over, and how, is told before", () => {
    const refused = (spec: ReturnType<typeof specOver>) => {
      const found = target.overBase!(spec.base, spec);
      expect(found.every(({ severity }) => severity === "blocker")).toBe(true);
      if (found.length > 0) expect(() => target.create(spec, testCompute())).toThrow(DiskError);
      expect(target.losses(spec)).toEqual([]);
      expect(target.qemuArguments(spec)).toBe(null);
      return found.map(({ why }) => why).join();
    };
    expect(refused(specOver())).toBe("");
    expect(refused(specOver({ name: `${"x".repeat(251)}.vhd` }))).toBe("");
    expect(refused(specOver({ format: "vhdx" }))).toContain("the parent of a VHD is a VHD");
    expect(refused(specOver({}, { subformat: "fixed" }))).toContain("holds the whole disk");
    expect(refused(specOver({}, {}, 8 * MIB))).toContain("have the same size");
    expect(refused(specOver({ identity: "" }))).toContain("no id");
    expect(refused(specOver({}, { id: ID.toUpperCase() }))).toContain("one of its own");
    expect(refused(specOver({ name: "../base.vhd" }))).toContain("no plain file name");
    expect(refused(specOver({ name: `${"x".repeat(252)}.vhd` }))).toContain("more than 255");
  });
});

/** None of these is what a geometry covers; the last is more than the largest one does. */
const SIZES = [512, 34816, MIB, 6 * MIB + 512, 64 * MIB, 129 * GIB];
describe.each(KINDS)("judges of a %s image", (subformat) => {
  const saved = async (size: number) => {
    const disk = diskOfSize(size);
    const image = await write(disk, { subformat, id: ID }, `${subformat}-${size}.vhd`);
    return { disk, path: image.save(folder) };
  };

  test.skipIf(qemu === null).each(SIZES)("qemu-img: %i bytes, exactly", async (size) => {
    const { disk, path } = await saved(size);
    const info = JSON.parse(qemu!.must(["info", "--output=json", "-f", "vpc", path])) as { "virtual-size": number };
    expect(info["virtual-size"]).toBe(size);
    if (size > GIB) return;
    writeFileSync(join(folder, "expected"), diskBytes(disk));
    expect(qemu!.must(["compare", "-f", "vpc", "-F", "raw", path, join(folder, "expected")])).toContain("identical");
  });

  test.skipIf(sevenZip === null)("7-Zip", async () => {
    const { disk, path } = await saved(6 * MIB + 512);
    expect(Buffer.compare(sevenZip!.bytes(["x", "-so", "-tvhd", path]), diskBytes(disk))).toBe(0);
  });

  test.skipIf(vhdiinfo === null).each(SIZES)("vhdiinfo: %i bytes", async (size) => {
    const { path } = await saved(size);
    const told = vhdiinfo!.must([path]);
    expect(told).toContain(`(${size} bytes)`);
    expect(told).toMatch(subformat === "fixed" ? /Disk type\s*: Fixed/ : /Disk type\s*: Dynamic/);
    expect(told).toContain(ID);
  });

  test.skipIf(readByLibvhdi === null)("libvhdi", async () => {
    const { disk, path } = await saved(6 * MIB + 512);
    expect(Buffer.compare(readByLibvhdi!([path]), diskBytes(disk))).toBe(0);
  });

  test.skipIf(qemu === null).each(["force_size=on", "force_size=off"])("what qemu-img writes with %s reads the same", async (force) => {
    const disk = diskOfSize(7 * MIB - 1536);
    writeFileSync(join(folder, "in.raw"), diskBytes(disk));
    const path = join(folder, `q-${subformat}.vhd`);
    qemu!.must(["convert", "-f", "raw", "-O", "vpc", "-o", `subformat=${subformat},${force}`, join(folder, "in.raw"), path]);
    qemu!.must(["convert", "-f", "vpc", "-O", "raw", path, join(folder, "out.raw")]);
    using file = openFileSource(path);
    const volume = await vhd.open(file, contextOf());
    expect(volume.notes).toEqual([]);
    expect(volume.variant).toBe(subformat);
    expect(Buffer.compare(await readVolume(volume), readFileSync(join(folder, "out.raw")))).toBe(0);
    expect(await vhd.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
  });
});
