import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, FileReference, Volume } from "../../core/model.ts";
import type { ImageWriter } from "../../core/target.ts";
import { arbitraryDisk, diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { contextOf, openWritten, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { vmdk } from "./index.ts";
import { Header, SECTOR } from "./spec.ts";

const target = vmdk.target!;
const qemu = judge("qemu-img");
const sevenZip = judge("7zz");
const vmdkinfo = judge("vmdkinfo");
const folder = mkdtempSync(join(tmpdir(), "vmdk-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 1 << 20;
const GRAIN = 64 << 10;
const SINGLE = ["monolithicSparse", "streamOptimized", "monolithicFlat", "vmfs"] as const;
const SUBFORMATS = [...SINGLE, "vmfsThin", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"] as const;

/** 80 MiB and 3 sectors: three grain tables (the middle one empty), an odd end, grains that shrink and grains that do not. */
const SAMPLE: TestDisk = {
  size: 80 * MIB + 3 * SECTOR,
  pieces: [
    { start: 0, bytes: noise(3 * GRAIN, 1) },
    { start: 5 * GRAIN + 512, bytes: new Uint8Array(70_000).fill(0x5a) },
    { start: 32 * MIB - GRAIN, bytes: noise(GRAIN, 2) },
    { start: 70 * MIB, bytes: new Uint8Array(2 * GRAIN).fill(7) },
    { start: 80 * MIB + 512, bytes: noise(1024, 3) },
  ],
};

let runs = 0;
function emptyFolder(): string {
  const path = join(folder, `${runs++}`);
  mkdirSync(path);
  return path;
}

/** The disk as a raw file, for the judges. */
function saveRaw(disk: TestDisk, path: string): string {
  writeFileSync(path, "");
  truncateSync(path, disk.size);
  for (const { start, bytes } of disk.pieces)
    spawnSync("dd", [`of=${path}`, "conv=notrunc", "oflag=seek_bytes", `seek=${start}`], { input: bytes });
  return path;
}
const rawSample = saveRaw(SAMPLE, join(folder, "sample.raw"));

/** The writer, fed with plain units: node:zlib packs them, so that these tests judge the format and not the codecs. */
const plainWriter = (writer: ImageWriter): ImageWriter => ({
  unit: writer.unit,
  files: writer.files,
  encoding: null,
  sequential: writer.sequential,
  put: (index, { bytes }) =>
    writer.put(index, writer.encoding === null ? { kind: "data", bytes } : { kind: "packed", bytes: deflateSync(bytes) }),
  end: () => writer.end(),
});
const write = (disk: TestDisk, options: Readonly<Record<string, string>>, name = "d.vmdk") =>
  writeImage(plainWriter(target.create(specFor(target, disk.size, name, options), testCompute())), disk);

/** A context that finds files of a folder by their verbatim names, as a caller with the folder picked would. */
function contextIn(path: string) {
  return {
    ...contextOf(),
    resolve: async ({ name }: FileReference): Promise<ByteSource | null> => {
      if (!/^[\w.-]+$/.test(name)) return null;
      return memorySource(name, new Uint8Array(readFileSync(join(path, name))));
    },
  };
}
const openIn = (path: string, name: string) =>
  vmdk.open(memorySource(name, new Uint8Array(readFileSync(join(path, name)))), contextIn(path));

/** Equality without the cost of a deep comparison. */
const expectSame = (a: Uint8Array, b: Uint8Array) => expect(Buffer.compare(a, b)).toBe(0);

async function sameAs(volume: Volume, disk: TestDisk): Promise<void> {
  expect(volume.size).toBe(disk.size);
  expectSame(await readVolume(volume), diskBytes(disk));
}

describe("writing", () => {
  test.each(SUBFORMATS)("%s: read back, byte for byte; the same input gives the same files", async (subformat) => {
    const image = await write(SAMPLE, { subformat });
    await sameAs(await openWritten(vmdk, image), SAMPLE);
    const again = await write(SAMPLE, { subformat });
    for (const [i, file] of image.files.entries()) expectSame(await again.files[i]!.read(0, file.size), await file.read(0, file.size));
    const report = await vmdk.check!(image.files[0]!, contextOf(image.files));
    expect(report).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    expect(image.files[0]!.size).toBeGreaterThanOrEqual(report.imageEndOffset);
  });

  test.skipIf(qemu === null).each(SUBFORMATS)("%s: qemu-img finds the same bytes", async (subformat) => {
    const path = (await write(SAMPLE, { subformat })).save(emptyFolder());
    qemu!.must(["compare", "-f", "vmdk", "-F", "raw", path, rawSample]);
    if (/Sparse|stream/.test(subformat)) qemu!.must(["check", "-f", "vmdk", path]);
    const info = JSON.parse(qemu!.must(["info", "-f", "vmdk", "--output", "json", path]));
    expect(info["virtual-size"]).toBe(SAMPLE.size);
    expect(info["format-specific"].data["create-type"]).toBe(subformat === "vmfsThin" ? "vmfs" : subformat);
  });

  test.skipIf(sevenZip === null).each(SUBFORMATS)("%s: 7-Zip finds it sound and extracts the same bytes", async (subformat) => {
    const place = emptyFolder();
    const path = (await write(SAMPLE, { subformat })).save(place);
    sevenZip!.must(["t", "-tvmdk", path]);
    const bytes = sevenZip!.bytes(["x", "-so", "-tvmdk", path]);
    expectSame(bytes, readFileSync(rawSample));
  });

  test.skipIf(vmdkinfo === null).each(SUBFORMATS)("%s: libvmdk accepts it", async (subformat) => {
    const path = (await write(SAMPLE, { subformat })).save(emptyFolder());
    const info = vmdkinfo!.must([path]);
    expect(info).toContain(`(${SAMPLE.size} bytes)`);
  });

  describe.each(["monolithicSparse", "streamOptimized"])("%s", (subformat) => {
    const tiny: readonly [string, TestDisk][] = [
      ["an empty disk", { size: 40 * MIB, pieces: [] }],
      ["a disk of one sector", { size: 512, pieces: [{ start: 0, bytes: noise(512, 9) }] }],
    ];
    const save = async (disk: TestDisk): Promise<string> => (await write(disk, { subformat })).save(emptyFolder());
    test.each(tiny)("%s", async (_, disk) => sameAs(await openWritten(vmdk, await write(disk, { subformat })), disk));
    test.skipIf(qemu === null).each(tiny)("%s, read and checked by qemu-img", async (_, disk) => {
      const path = await save(disk);
      qemu!.must(["compare", "-f", "vmdk", "-F", "raw", path, saveRaw(disk, `${path}.raw`)]);
      qemu!.must(["check", "-f", "vmdk", path]);
    });
    test.skipIf(sevenZip === null).each(tiny)("%s, read by 7-Zip", async (_, disk) => {
      sevenZip!.must(["t", "-tvmdk", await save(disk)]);
    });
  });

  test("streamOptimized has the layout that one-pass readers want", async () => {
    const image = await write(SAMPLE, { subformat: "streamOptimized" });
    const file = image.files[0]!;
    const bytes = await file.read(0, file.size);
    const view = new DataView(bytes.buffer);
    const header = Header.read(bytes);
    expect(header).toMatchObject({
      version: 3,
      flags: 0x30001,
      grainSize: 128n,
      rgdOffset: 0n,
      gdOffset: 0xffffffffffffffffn,
      overHead: 128n,
    });
    const footer = Header.read(bytes, file.size - 1024);
    expect({ ...footer, gdOffset: header.gdOffset }).toEqual(header);
    const directory = Number(footer.gdOffset) * SECTOR;
    expect([view.getUint32(directory - SECTOR, true), view.getUint32(directory - SECTOR + 12, true)]).toEqual([1, 2]);
    expect([view.getUint32(file.size - 1536, true), view.getUint32(file.size - 1536 + 12, true)]).toEqual([1, 3]);
    expect(bytes.subarray(file.size - 512).every((byte) => byte === 0)).toBe(true);
    expect(view.getUint32(directory + 4, true)).toBe(0);
    const table = view.getUint32(directory, true) * SECTOR;
    expect([view.getUint32(table - SECTOR, true), view.getUint32(table - SECTOR + 12, true)]).toEqual([4, 1]);
    expect(view.getUint32(table, true)).toBe(128);
  });

  test("a disk of 3 TiB with data at both ends", async () => {
    const size = 3 * 2 ** 40;
    const disk = {
      size,
      pieces: [
        { start: 0, bytes: noise(GRAIN, 1) },
        { start: size - GRAIN, bytes: noise(GRAIN, 2) },
      ],
    };
    for (const subformat of SINGLE) {
      const volume = await openWritten(vmdk, await write(disk, { subformat }));
      expect(volume.size).toBe(size);
      expectSame(await readVolume(volume, size - 2 * GRAIN, 2 * GRAIN), diskBytes(disk, size - 2 * GRAIN, 2 * GRAIN));
    }
    const warned = (subformat: string, bytes: number) =>
      target.losses(specFor(target, bytes, "d.vmdk", { subformat })).map(({ severity }) => severity);
    expect(warned("streamOptimized", size)).toEqual(["warning"]);
    expect(warned("monolithicSparse", 2 ** 41)).toEqual(["warning"]);
    expect(warned("monolithicSparse", 2 ** 40)).toEqual([]);
    expect(warned("monolithicFlat", size)).toEqual([]);
    expect(warned("vmfs", 63 * 2 ** 40)).toEqual(["blocker"]);
    expect(warned("monolithicSparse", 2 ** 53 - 1)).toEqual(["note", "warning", "blocker"]);
    expect(warned("monolithicFlat", 513)).toEqual(["note"]);
    expect(warned("twoGbMaxExtentFlat", 999 * 2047 * MIB)).toEqual([]);
    expect(warned("twoGbMaxExtentSparse", 999 * 2047 * MIB + 512)).toEqual(["blocker"]);
  });

  describe.each(["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])("%s: files of 2047 MiB, the untouched ones too", (subformat) => {
    const part = 2047 * MIB;
    const size = 3 * part + 5 * SECTOR;
    const disk: TestDisk = {
      size,
      pieces: [
        { start: part - GRAIN, bytes: noise(2 * GRAIN, 1) },
        { start: 3 * part + SECTOR, bytes: noise(4 * SECTOR, 2) },
      ],
    };
    const writeBig = () => write(disk, { subformat }, "big.vmdk");

    test("are named, read and checked", async () => {
      const image = await writeBig();
      const letter = subformat === "twoGbMaxExtentSparse" ? "s" : "f";
      expect(image.files.map((file) => file.name)).toEqual(["big.vmdk", ...[1, 2, 3, 4].map((i) => `big-${letter}00${i}.vmdk`)]);
      const volume = await openWritten(vmdk, image);
      expect(volume.size).toBe(size);
      for (const start of [part - MIB, 2 * part - MIB])
        expectSame(await readVolume(volume, start, 2 * MIB), diskBytes(disk, start, 2 * MIB));
      expectSame(await readVolume(volume, 3 * part, 5 * SECTOR), diskBytes(disk, 3 * part, 5 * SECTOR));
      expect(await vmdk.check!(image.files[0]!, contextOf(image.files))).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    });
    test.skipIf(qemu === null)("qemu-img reads them", async () => {
      const path = (await writeBig()).save(emptyFolder());
      qemu!.must(["compare", "-f", "vmdk", "-F", "raw", path, saveRaw(disk, `${path}.raw`)]);
    });
    test.skipIf(vmdkinfo === null)("libvmdk finds their size", async () => {
      expect(vmdkinfo!.must([(await writeBig()).save(emptyFolder())])).toContain(`(${size} bytes)`);
    });
  });

  test("the descriptor: content id, controller, geometry, names", async () => {
    const text = async (options: Record<string, string>, name = "dir/my disk.vmdk") => {
      const image = await write({ size: 3 * MIB, pieces: [] }, { subformat: "monolithicFlat", ...options }, name);
      expect(image.files.map((file) => file.name)).toEqual(["my disk.vmdk", "my disk-flat.vmdk"]);
      return new TextDecoder().decode(await image.files[0]!.read(0, image.sizes[0]!));
    };
    const plain = await text({});
    expect(plain).toContain('RW 6144 FLAT "my disk-flat.vmdk" 0\n');
    expect(plain).toContain("\n# The Disk Data Base\n#DDB\n");
    expect(plain).toMatch(/\nCID=[0-9a-f]{8}\nparentCID=ffffffff\ncreateType="monolithicFlat"\n/);
    expect(plain).toContain(
      'ddb.adapterType = "lsilogic"\nddb.geometry.cylinders = "3"\nddb.geometry.heads = "64"\nddb.geometry.sectors = "32"',
    );
    expect(await text({ adapter_type: "ide", cid: "0000abcd", hwversion: "13" })).toMatch(
      /CID=0000abcd[\s\S]*"ide"\n.*cylinders = "6"\n.*heads = "16"\n.*sectors = "63"\n.*longContentID = "[0-9a-f]{24}0000abcd"\n.*HWVersion = "13"/,
    );
    expect(await text({ subformat: "vmfs" })).toContain('createType="vmfs"\n\n# Extent description\nRW 6144 VMFS "my disk-flat.vmdk"\n');
    expect(await text({ subformat: "vmfsThin" })).toMatch(
      /createType="vmfs"[\s\S]*RW 6144 VMFS "my disk-flat.vmdk"\n[\s\S]*ddb.thinProvisioned = "1"\n/,
    );
    expect(await text({ id: "6000C29A-DC4A-120F-2ACB-5C027ECF6D0E" })).toContain(
      'ddb.uuid = "60 00 c2 9a dc 4a 12 0f-2a cb 5c 02 7e cf 6d 0e"\nddb.uuid.image="6000c29a-dc4a-120f-2acb-5c027ecf6d0e"\n',
    );
    const spec = specFor(target, MIB, "d.vmdk");
    for (const tail of [0xff, 0xfe]) {
      const identity = new Uint8Array(16).fill(0xff);
      identity[15] = tail;
      const file = (await writeImage(target.create({ ...spec, identity }, testCompute()), [])).files[0]!;
      expect(new TextDecoder().decode(await file.read(512, 300))).toMatch(/CID=fffffff[cd]\n/);
    }
    for (const wrong of [
      { cid: "xyz" },
      { cid: "ffffffff" },
      { hwversion: "a" },
      { subformat: "seSparse" },
      { adapter_type: "" },
      { id: "1" },
      { zeroed_grain: "on", subformat: "vmfs" },
    ]) {
      const bad = specFor(target, MIB, "d.vmdk", wrong);
      expect(target.losses(bad)[0]!.severity).toBe("blocker");
      expect(() => target.create(bad, testCompute())).toThrow(DiskError);
    }
    for (const name of ['a"b.vmdk', "a\nb.vmdk", ""]) expect(target.losses(specFor(target, MIB, name))[0]!.severity).toBe("blocker");
    expect(target.qemuArguments(spec)).toEqual(["-O", "vmdk", "-o", "subformat=monolithicSparse,adapter_type=lsilogic,hwversion=7"]);
    expect(target.qemuArguments(specFor(target, MIB, "d.vmdk", { subformat: "vmfs" }))).toBeNull();
  });

  test("any sparse disk survives the round trip", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryDisk(36 * MIB), fc.constantFrom(...SUBFORMATS), async (disk, subformat) => {
        const image = await write(disk, { subformat });
        await sameAs(await openWritten(vmdk, image), disk);
        expect(await vmdk.check!(image.files[0]!, contextOf(image.files))).toMatchObject({ corruptions: 0, findings: [] });
      }),
      { numRuns: 25 },
    );
  });
});

describe("reading what qemu-img writes", () => {
  const made = (subformat: string, more = "") => {
    const place = emptyFolder();
    qemu!.must(["convert", "-f", "raw", "-O", "vmdk", "-o", `subformat=${subformat}${more}`, rawSample, "d.vmdk"], { cwd: place });
    return place;
  };

  test.skipIf(qemu === null).each([
    ["monolithicSparse", ""],
    ["monolithicSparse", ",zeroed_grain=on,adapter_type=lsilogic,hwversion=13"],
    ["streamOptimized", ""],
    ["monolithicFlat", ""],
    ["twoGbMaxExtentSparse", ""],
    ["twoGbMaxExtentFlat", ""],
  ])("%s%s: the same bytes, the same account of it", async (subformat, more) => {
    const place = made(subformat, more);
    const volume = await openIn(place, "d.vmdk");
    await sameAs(volume, SAMPLE);
    expect([volume.variant, volume.parent, volume.unsupported]).toEqual([subformat, null, []]);
    const info = JSON.parse(qemu!.must(["info", "--output", "json", "d.vmdk"], { cwd: place }))["format-specific"].data;
    expect(volume.details).toMatchObject({ cid: info.cid, "parent-cid": info["parent-cid"], "create-type": subformat });
    expect(volume.details["extents"]).toHaveLength(info.extents.length);
    expect(volume.details["extents"]).toMatchObject(info.extents.map((extent: object) => ({ ...extent, format: expect.anything() })));
    expect(vmdk.probe(new Uint8Array(readFileSync(join(place, "d.vmdk"))).subarray(0, 65536), new Uint8Array(0))).toBe(true);
    const report = await vmdk.check!(memorySource("d.vmdk", new Uint8Array(readFileSync(join(place, "d.vmdk")))), contextIn(place));
    expect(report.findings).toEqual([]);
  });

  test.skipIf(qemu === null)("an extent of a split disk, opened alone, is the disk that it is, with a warning", async () => {
    const volume = await openIn(made("twoGbMaxExtentSparse"), "d-s001.vmdk");
    await sameAs(volume, SAMPLE);
    expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("one extent") }]);
  });

  test.skipIf(qemu === null)("a delta over a delta reads through its holes, and over zeroed grains not", async () => {
    const place = made("monolithicSparse");
    const run = (...args: string[]) => qemu!.must(args, { cwd: place });
    run("create", "-q", "-f", "vmdk", "-b", "d.vmdk", "-F", "vmdk", "mid.vmdk");
    const write = (file: string, command: string) => judge("qemu-io")!.must(["-f", "vmdk", "-c", command, file], { cwd: place });
    write("mid.vmdk", "write -P 0x41 70000 300k");
    run("create", "-q", "-f", "vmdk", "-o", "zeroed_grain=on", "-b", "mid.vmdk", "-F", "vmdk", "top.vmdk");
    write("top.vmdk", "write -z 0 64k");
    const chain = [await openIn(place, "top.vmdk"), await openIn(place, "mid.vmdk"), await openIn(place, "d.vmdk")];
    expect(chain.map(({ parent }) => parent?.name)).toEqual(["mid.vmdk", "d.vmdk", undefined]);
    expect(chain[0]!.parent!.id).toBe((chain[1]!.details["cid"] as number).toString(16).padStart(8, "0"));
    const expected = diskBytes(SAMPLE);
    expected.fill(0x41, 70000, 70000 + 300 * 1024);
    expected.fill(0, 0, GRAIN);
    expectSame(await readVolume(chain), expected);
  });

  test("compressed grains without markers are plain zlib streams", async () => {
    const disk: TestDisk = { size: 3 * GRAIN, pieces: [{ start: GRAIN, bytes: noise(2 * GRAIN, 5) }] };
    const grains = [deflateSync(diskBytes(disk, GRAIN, GRAIN)), deflateSync(diskBytes(disk, 2 * GRAIN, GRAIN))];
    const image = new Uint8Array(400 * SECTOR);
    const view = new DataView(image.buffer);
    const [directory, table, second] = [1, 2, 128 + Math.ceil(grains[0]!.length / SECTOR)];
    const sparse = Header.read(new Uint8Array(SECTOR));
    image.set(
      Header.write({
        ...sparse,
        magicNumber: 0x564d444b,
        version: 3,
        flags: 0x10000,
        capacity: 384n,
        grainSize: 128n,
        numGTEsPerGT: 512,
        gdOffset: 1n,
        overHead: 128n,
        compressAlgorithm: 1,
      }),
    );
    view.setUint32(directory * SECTOR, table, true);
    view.setUint32(table * SECTOR + 4, 128, true);
    view.setUint32(table * SECTOR + 8, second, true);
    image.set(grains[0]!, 128 * SECTOR);
    image.set(grains[1]!, second * SECTOR);
    await sameAs(await vmdk.open(memorySource("d.vmdk", image), contextOf()), disk);
    expect(await vmdk.check!(memorySource("d.vmdk", image), contextOf())).toMatchObject({ corruptions: 0, compressedClusters: 2 });
  });

  test.skipIf(sevenZip === null || vmdkinfo === null)(
    "ZERO and RDONLY extents, which qemu-img drops: the size as libvmdk, the bytes as 7-Zip",
    async () => {
      const place = emptyFolder();
      const [a, b] = [noise(MIB, 1), noise(MIB, 2)];
      writeFileSync(join(place, "a.bin"), a);
      writeFileSync(join(place, "b.bin"), b);
      const save = (name: string, ...extents: string[]) =>
        writeFileSync(
          join(place, name),
          `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="twoGbMaxExtentFlat"\n\n# Extent description\n${extents.join("\n")}\n\n# The Disk Data Base\n#DDB\n\nddb.adapterType = "ide"\n`,
        );
      const swapped = ['RDONLY 1024 FLAT "b.bin" 1024', 'RW 1024 FLAT "b.bin" 0'];
      const swappedBytes = Buffer.concat([b.subarray(MIB / 2), b.subarray(0, MIB / 2)]);
      save("zero.vmdk", 'RW 2048 FLAT "a.bin" 0', "RW 2048 ZERO", ...swapped);
      expectSame(await readVolume(await openIn(place, "zero.vmdk")), Buffer.concat([a, Buffer.alloc(MIB), swappedBytes]));
      expect(vmdkinfo!.must([join(place, "zero.vmdk")])).toContain(`(${3 * MIB} bytes)`);
      // 7-Zip 26.02 gives up at a ZERO extent.
      save("readonly.vmdk", 'RW 2048 FLAT "a.bin" 0', ...swapped);
      const bytes = await readVolume(await openIn(place, "readonly.vmdk"));
      expectSame(bytes, Buffer.concat([a, swappedBytes]));
      expectSame(bytes, sevenZip!.bytes(["x", "-so", "-tvmdk", join(place, "readonly.vmdk")]));
    },
  );
});
