import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import type { DiskErrorCode } from "../../core/errors.ts";
import { DiskError } from "../../core/errors.ts";
import { rowsOf } from "../../testing/corpus-images.ts";
import { countingSource } from "../../testing/counting-source.ts";
import { diskBytes, diskOf, patternDisk } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { generatedFolder, judge } from "../../testing/judges.ts";
import { writeLayer } from "../../testing/layer.ts";
import { vdi } from "./index.ts";
import { BLOCK_BYTES, BLOCK_FREE, BLOCK_ZERO, Header } from "./spec.ts";

const target = vdi.target!;
const qemu = judge("qemu-img");
const folder = mkdtempSync(join(tmpdir(), "vdi-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 1 << 20;
const MAP_AT = MIB;
const DATA_AT = 2 * MIB;
const written = (size: number, blocks: ReadonlyMap<number, Uint8Array>, options = {}) =>
  writeImage(target.create(specFor(target, size, "d.vdi", options), testCompute()), diskOf(size, MIB, blocks));
/** MiB 0, 2 and 3 of a 5 MiB disk hold data. */
async function sample(): Promise<Uint8Array<ArrayBuffer>> {
  const image = await written(5 * MIB, new Map([0, 2, 3].map((i) => [i, new Uint8Array(MIB).fill(i + 1)])));
  return image.files[0]!.read(0, image.sizes[0]!);
}
const put = (bytes: Uint8Array, at: number, value: number) => new DataView(bytes.buffer).setUint32(at, value >>> 0, true);
const open = (bytes: Uint8Array) => vdi.open(memorySource("d.vdi", bytes), contextOf());

describe("reading", () => {
  test.each<[keyof Parameters<typeof Header.write>[0], number, DiskErrorCode]>([
    ["signature", 1, "corrupt"],
    ["version", 0x00010000, "unsupported"],
    ["version", 0x00090009, "unsupported"],
    ["imageType", 0, "corrupt"],
    ["imageType", 5, "corrupt"],
    ["headerSize", 100, "corrupt"],
    ["headerSize", 0xffffffff, "corrupt"],
    ["mapAt", 511, "corrupt"],
    ["dataAt", 1, "corrupt"],
    ["dataAt", 0, "corrupt"],
    ["sectorSize", 4096, "unsupported"],
    ["blockSize", 0, "corrupt"],
    ["blockSize", 1000, "corrupt"],
    ["blockSize", 512, "corrupt"],
    ["blockExtra", 1, "corrupt"],
    ["blocks", 4, "corrupt"],
    ["blocks", 0xffffffff, "corrupt"],
  ])("%s = %i is refused by name and place", async (field, value, code) => {
    const bytes = await sample();
    put(bytes, Header.offsetOf(field), value);
    const error = await failure(open(bytes));
    expect(error.code).toBe(code);
    expect(error.file).toBe("d.vdi");
    expect(error.at).toBe(Header.offsetOf(field === "blockSize" && value === 512 ? "blocks" : field));
  });

  test.each([
    [4, "differencing"],
    [3, "undo"],
  ])("type %i (%s): a layer that asks for its parent by id; the chain reads through its holes only", async (type, variant) => {
    const base = await sample();
    const bytes = await sample();
    put(bytes, Header.offsetOf("imageType"), type);
    expect((await failure(open(bytes))).at).toBe(Header.offsetOf("parentUuid"));
    bytes.set(base.subarray(Header.offsetOf("uuid"), Header.offsetOf("uuid") + 16), Header.offsetOf("parentUuid"));
    put(bytes, MAP_AT, BLOCK_FREE);
    put(bytes, MAP_AT + 8, BLOCK_ZERO);
    const volume = await open(bytes);
    const parent = await open(base);
    expect(volume.variant).toBe(variant);
    const id = parent.identity as string;
    expect(parent.details["uuid"]).toBe(id);
    expect(volume.parent).toEqual({ role: "parent", name: `{${id}}.vdi`, id, format: "vdi", version: null });
    expect(volume.notes).toMatchObject([{ severity: "info", text: expect.stringContaining(`the VDI with the UUID ${id}`) }]);
    const disk = await readVolume([volume, parent]);
    expect([0, 1, 2, 3, 4].map((i) => disk[i * MIB + 7])).toEqual([1, 0, 0, 4, 0]);
  });

  test("entries past the end and entries that share a block name the guest range; what lies before them is still told", async () => {
    const bytes = await sample();
    put(bytes, MAP_AT + 8, 0);
    put(bytes, MAP_AT + 16, 77);
    const volume = await open(bytes);
    const [first, second] = await volume.extents(0, volume.size);
    expect(first).toEqual({ kind: "raw", start: 0, length: MIB, file: 0, at: DATA_AT });
    expect(second).toEqual({ kind: "hole", start: MIB, length: MIB });
    const shared = await failure(volume.extents(2 * MIB + 512, MIB));
    expect(shared).toMatchObject({ code: "corrupt", at: MAP_AT + 8, guest: { start: 2 * MIB, length: MIB } });
    const past = await failure(volume.extents(4 * MIB, MIB));
    expect(past).toMatchObject({ code: "corrupt", at: MAP_AT + 16, guest: { start: 4 * MIB, length: MIB } });
    expect(await volume.extents(3 * MIB, MIB)).toMatchObject([{ kind: "raw", at: DATA_AT + 2 * MIB }]);
  });

  test("a file that is cut off loses only the blocks behind the cut", async () => {
    const bytes = await sample();
    const volume = await open(bytes.slice(0, bytes.length - 1));
    expect(volume.notes[0]?.text).toContain("cut off");
    expect(await volume.extents(2 * MIB, 2 * MIB)).toEqual([{ kind: "raw", start: 2 * MIB, length: MIB, file: 0, at: DATA_AT + MIB }]);
    expect((await failure(volume.extents(3 * MIB, MIB))).guest).toEqual({ start: 3 * MIB, length: MIB });
  });

  test("blocks of another size, with bytes before each", async () => {
    const bytes = await sample();
    const unit = 3 * 512;
    const extra = 1024;
    const size = 4 * unit - 512;
    put(bytes, Header.offsetOf("diskSize"), size);
    put(bytes, Header.offsetOf("blockSize"), unit);
    put(bytes, Header.offsetOf("blockExtra"), extra);
    put(bytes, Header.offsetOf("blocks"), 4);
    for (const [i, entry] of [2, BLOCK_FREE, 1, 0].entries()) put(bytes, MAP_AT + i * 4, entry);
    for (let slot = 0; slot < 3; slot++)
      bytes.fill(slot + 1, DATA_AT + slot * (unit + extra) + extra, DATA_AT + (slot + 1) * (unit + extra));
    const disk = await readVolume(await open(bytes));
    const expected = new Uint8Array(size);
    expected.fill(3, 0, unit);
    expected.fill(2, 2 * unit, 3 * unit);
    expected.fill(1, 3 * unit, size);
    expect(disk).toEqual(expected);
  });

  test("a huge image: its map is read in pieces", async () => {
    const size = 64 * 2 ** 40;
    const blocks = size / MIB;
    const image = await writeImage(target.create(specFor(target, 2 ** 30, "d.vdi"), testCompute()), { size: 2 ** 30, pieces: [] });
    const file = image.files[0]!;
    const header = Header.read(await file.read(0, 512));
    file.write(0, Header.write({ ...header, diskSize: BigInt(size), blocks, dataAt: MIB + blocks * 4 }));
    for (const entry of [blocks - 1, 5]) file.write(MIB + entry * 4, Uint8Array.of(255, 255, 255, 255));
    file.truncate(MIB + blocks * 4 + MIB);
    const counted = countingSource(file);
    const volume = await vdi.open(counted, contextOf());
    expect(await volume.extents(size - MIB, MIB)).toEqual([{ kind: "hole", start: size - MIB, length: MIB }]);
    expect(counted.bytesRead).toBeLessThan(70_000);
  });
});

describe("writing", () => {
  test("an empty disk of 64 TiB keeps no map in memory and yields it in pieces", () => {
    const writer = target.create(specFor(target, 64 * 2 ** 40, "d.vdi"), testCompute());
    const { writes, sizes } = writer.end();
    expect(sizes).toEqual([MIB + 64 * 2 ** 20 * 4]);
    const [first] = writes;
    expect(first).toMatchObject({ file: 0, at: MIB });
    expect(first?.bytes.length).toBe(MIB);
  });

  test("the same disk and identity give the same bytes; the ids are version 4", async () => {
    const [a, b] = [await sample(), await sample()];
    expect(Buffer.compare(a, b)).toBe(0);
    const { details } = await open(a);
    expect(details["uuid"]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/);
    expect(details["modify-uuid"]).not.toBe(details["uuid"]);
  });

  test("a given id is the image's, as VirtualBox writes it", async () => {
    const id = "00112233-4455-6677-8899-aabbccddeeff";
    const image = await written(MIB, new Map(), { id: id.toUpperCase() });
    const bytes = await image.files[0]!.read(0, Header.bytes);
    expect([...Header.read(bytes).uuid.subarray(0, 6)]).toEqual([0x33, 0x22, 0x11, 0x00, 0x55, 0x44]);
    expect((await vdi.open(image.files[0]!, contextOf())).identity).toBe(id);
    for (const wrong of ["1", "00000000-0000-0000-0000-000000000000"]) {
      expect(target.losses(specFor(target, MIB, "d", { id: wrong }))).toMatchObject([{ severity: "blocker" }]);
      expect(() => target.create(specFor(target, MIB, "d", { id: wrong }), testCompute())).toThrow(DiskError);
    }
  });

  test("a disk beyond the block count is a blocker", () => {
    expect(target.losses(specFor(target, 0x1fffff80 * MIB, "d"))).toEqual([]);
    expect(target.losses(specFor(target, 0x1fffff80 * MIB + 512, "d"))).toMatchObject([{ severity: "blocker" }]);
  });

  test.skipIf(qemu === null).each(["off", "on"])("static=%s: qemu-img finds the same disk and no fault", async (value) => {
    const disk = patternDisk(6);
    const size = disk.size - 512;
    const cut = { size, pieces: disk.pieces.map(({ start, bytes }) => ({ start, bytes: bytes.subarray(0, Math.min(MIB, size - start)) })) };
    const image = await writeImage(target.create(specFor(target, size, `${value}.vdi`, { static: value }), testCompute()), cut);
    const path = image.save(folder);
    writeFileSync(join(folder, "raw"), diskBytes(cut));
    expect(qemu!.must(["compare", "-f", "vdi", "-F", "raw", path, join(folder, "raw")])).toContain("identical");
    expect(qemu!.must(["check", "-f", "vdi", path])).toContain("No errors");
    const asked = value === "on" ? ["-O", "vdi", "-o", "static=on"] : ["-O", "vdi"];
    expect(target.qemuArguments(specFor(target, size, "q", { static: value }))).toEqual(asked);
  });

  test.skipIf(qemu === null).each(["off", "on"])("what qemu-img writes with static=%s reads the same", async (value) => {
    writeFileSync(join(folder, "in.raw"), diskBytes(patternDisk(3)).subarray(0, 3 * MIB - 1536));
    const path = join(folder, `q-${value}.vdi`);
    qemu!.must(["convert", "-f", "raw", "-O", "vdi", "-o", `static=${value}`, join(folder, "in.raw"), path]);
    using file = openFileSource(path);
    const volume = await vdi.open(file, contextOf());
    expect(volume.variant).toBe(value === "on" ? "static" : "dynamic");
    expect(volume.notes).toEqual([]);
    expect(Buffer.compare(await readVolume(volume), readFileSync(join(folder, "in.raw")))).toBe(0);
    expect(await vdi.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
  });
});

describe("a layer", () => {
  const ID = "01234567-89ab-4cde-8f01-23456789abcd";
  const VERSION = "76543210-89ab-4cde-8f01-23456789abcd";
  const base = { name: "base.vdi", format: "vdi", size: 5 * MIB, identity: ID, version: VERSION, details: {} };
  const specOver = (more: Partial<typeof base> = {}, options = {}, size = 5 * MIB) => ({
    ...specFor(target, size, "top.vdi", options),
    base: { ...base, ...more },
  });

  test("type, link, map and comment: byte by byte, from VirtualBox's numbers", async () => {
    const file = writeLayer(target.create(specOver(), testCompute()), [
      [1, new Uint8Array(MIB).fill(7)],
      [2, null],
      [4, new Uint8Array(MIB).fill(8)],
    ]);
    const bytes = await file.read(0, file.size);
    const view = new DataView(bytes.buffer);
    expect(view.getUint32(76, true)).toBe(4);
    expect(Buffer.from(bytes.subarray(84, 84 + 256)).toString()).toBe("Differencing image over base.vdi".padEnd(256, "\0"));
    const guid = (at: number) => Buffer.from(bytes.subarray(at, at + 16)).toString("hex");
    expect([guid(424), guid(440)]).toEqual(["67452301ab89de4c8f0123456789abcd", "10325476ab89de4c8f0123456789abcd"]);
    expect([guid(392), guid(408)]).not.toContain("0".repeat(32));
    expect(view.getUint32(388, true)).toBe(2);
    const map = [0, 1, 2, 3, 4].map((i) => view.getUint32(MAP_AT + i * 4, true));
    expect(map).toEqual([BLOCK_FREE, 0, BLOCK_ZERO, BLOCK_FREE, 1]);
    expect([BLOCK_FREE, BLOCK_ZERO]).toEqual([0xffffffff, 0xfffffffe]);
    expect(bytes.length).toBe(DATA_AT + 2 * MIB);

    const volume = await vdi.open(file, contextOf());
    expect(volume).toMatchObject({ variant: "differencing", parent: { id: ID, version: VERSION, format: "vdi" } });
    expect(volume.notes).toMatchObject([{ severity: "info" }]);
    expect((await volume.extents(0, volume.size)).map(({ kind }) => kind)).toEqual(["hole", "raw", "zero", "hole", "raw"]);
    expect(await vdi.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [], allocatedClusters: 2 });
  });

  test("a name that has no room in the comment is left out; a base without a state's id is linked by its own alone", async () => {
    const file = writeLayer(target.create(specOver({ name: "é".repeat(120), version: undefined as unknown as string }), testCompute()), []);
    const { comment, parentModifyUuid } = Header.read(await file.read(0, Header.bytes));
    expect([...comment, ...parentModifyUuid].every((byte) => byte === 0)).toBe(true);
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
    expect(refused(specOver({ format: "vpc" }))).toContain("the parent of a VDI is a VDI");
    expect(refused(specOver({}, { static: "on" }))).toContain("holds the whole disk");
    expect(refused(specOver({}, {}, 6 * MIB))).toContain("of the same size");
    expect(refused(specOver({ identity: "" }))).toContain("no UUID");
    expect(refused(specOver({}, { id: ID }))).toContain("one of its own");
  });
});

describe("check", () => {
  const check = async (change: (bytes: Uint8Array) => void) => {
    const bytes = await sample();
    change(bytes);
    return vdi.check!(memorySource("d.vdi", bytes), contextOf());
  };
  test("a sound image", async () => {
    expect(await check(() => {})).toEqual({
      corruptions: 0,
      leaks: 0,
      allocatedClusters: 3,
      totalClusters: 5,
      compressedClusters: 0,
      fragmentedClusters: 0,
      imageEndOffset: 5 * MIB,
      findings: [],
    });
  });
  test("a shared block, an entry past the end, a lost block and a wrong count", async () => {
    const report = await check((bytes) => {
      put(bytes, MAP_AT + 8, 0);
      put(bytes, MAP_AT + 16, 9);
    });
    expect(report).toMatchObject({ corruptions: 2, leaks: 1, allocatedClusters: 4 });
    expect(report.findings.map(({ severity, at }) => [severity, at])).toEqual([
      ["corruption", MAP_AT + 8],
      ["corruption", MAP_AT + 16],
      ["warning", Header.offsetOf("blocksAllocated")],
      ["leak", DATA_AT + MIB],
    ]);
  });
});

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    const rows = rowsOf(malformed, vdi.id);
    test.each(rows.map((row) => [row["name"] as string, row["expect"] as string]))("%s: %s", async (name, expectation) => {
      using file = openFileSource(join(malformed as string, name));
      const head = await file.read(0, Math.min(file.size, 65536));
      const works = vdi.open(file, contextOf()).then(async (volume) => ({ volume, bytes: await readVolume(volume) }));
      if (/^clear error/.test(expectation)) {
        const error = await works.then(
          ({ volume }) => volume.parent,
          (reason: unknown) => reason,
        );
        if (expectation.includes("parent needed")) expect(error).toMatchObject({ role: "parent" });
        else expect(error).toBeInstanceOf(DiskError);
        if (file.size >= 64) expect(vdi.probe(head, head)).toBe(true);
      } else if (expectation === "decode as zero") {
        expect((await works).bytes.subarray(0, MIB).every((byte) => byte === 0)).toBe(true);
      } else {
        const seed = readFileSync(join(malformed as string, "trunc/s-4195327.vdi")).subarray(1024, 1024 + 4 * BLOCK_BYTES - 512);
        const outcome = await works.catch((reason: unknown) => reason);
        if (!(outcome instanceof DiskError)) {
          const { bytes } = outcome as Awaited<typeof works>;
          const both = Math.min(seed.length, bytes.length);
          expect(Buffer.compare(bytes.subarray(0, both), seed.subarray(0, both))).toBe(0);
        }
      }
    });
  });
