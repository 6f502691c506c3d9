import { describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import type { DiskErrorCode } from "../../core/errors.ts";
import { failure } from "../../testing/failure.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import {
  type Bytes,
  blockAt,
  entry,
  fixedSample,
  MIB,
  put,
  sample,
  setFooter,
  setHeader,
  TABLE_AT,
  UNIT,
  written,
} from "../../testing/vhd-images.ts";
import { detect } from "../registry.ts";
import { vhd } from "./index.ts";
import { geometryOf } from "./size.ts";
import { BLOCK_UNUSED, Footer, type FooterFields, Header, type HeaderFields, tag } from "./spec.ts";

const open = (bytes: Uint8Array) => vhd.open(memorySource("d.vhd", bytes), contextOf());
const findings = async (bytes: Uint8Array) => (await vhd.check!(memorySource("d.vhd", bytes), contextOf())).findings;

describe("fields", () => {
  test.each<[Partial<FooterFields>, DiskErrorCode]>([
    [{ fileFormatVersion: 0x00020000 }, "unsupported"],
    ...[0, 1, 5, 6, 7, 0xffffffff].map((diskType): [Partial<FooterFields>, DiskErrorCode] => [{ diskType }, "corrupt"]),
    [{ currentSize: 0n }, "corrupt"],
    [{ currentSize: 7n * 1048576n + 1n }, "corrupt"],
    [{ currentSize: 2n ** 63n }, "corrupt"],
    [{ dataOffset: 0n }, "corrupt"],
    [{ dataOffset: 513n }, "corrupt"],
    [{ dataOffset: 2n ** 64n - 1n }, "corrupt"],
  ])("footer %o is refused by name and place", async (change, code) => {
    const bytes = setFooter(await sample(), change);
    const [field] = Object.keys(change) as [keyof FooterFields];
    expect(await failure(open(bytes))).toMatchObject({ code, file: "d.vhd", at: bytes.length - 512 + Footer.offsetOf(field) });
  });

  test.each<[Partial<HeaderFields>, DiskErrorCode]>([
    [{ cookie: tag("cxsparsf") }, "corrupt"],
    [{ headerVersion: 0x00020000 }, "unsupported"],
    [{ blockSize: 0 }, "corrupt"],
    [{ blockSize: 256 }, "corrupt"],
    [{ blockSize: 3 << 20 }, "corrupt"],
    [{ maxTableEntries: 3 }, "corrupt"],
    [{ maxTableEntries: 0xffffffff }, "corrupt"],
    [{ tableOffset: 0n }, "corrupt"],
    [{ tableOffset: 1024n }, "corrupt"],
    [{ tableOffset: 1537n }, "corrupt"],
    [{ tableOffset: 2n ** 64n - 512n }, "corrupt"],
  ])("dynamic disk header %o is refused by name and place", async (change, code) => {
    const [field] = Object.keys(change) as [keyof HeaderFields];
    expect(await failure(open(setHeader(await sample(), change)))).toMatchObject({ code, file: "d.vhd", at: 512 + Header.offsetOf(field) });
  });

  test("a fixed image's size must fit its file", async () => {
    const bytes = await fixedSample();
    expect((await failure(open(setFooter(bytes.slice(), { currentSize: 2n * 1048576n })))).at).toBe(MIB + Footer.offsetOf("currentSize"));
    const smaller = await open(setFooter(bytes.slice(), { currentSize: 1048576n - 1024n }));
    expect(smaller.size).toBe(MIB - 1024);
    expect(smaller.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("last 1024 are left out") }]);
  });
});

describe("footers", () => {
  test("one sound copy is enough; the broken one is told", async () => {
    const whole = await sample();
    const disk = await readVolume(await open(whole));
    const damage: [string, (bytes: Bytes) => Bytes][] = [
      ["copy of the footer at the beginning of the file is missing", (bytes) => bytes.fill(0, 0, 512)],
      ["copy of the footer at the beginning of the file is damaged", (bytes) => bytes.fill(9, 100, 101)],
      ["footer at the end of the file is missing", (bytes) => bytes.subarray(0, bytes.length - 512) as Bytes],
      ["footer at the end of the file is damaged", (bytes) => bytes.fill(9, bytes.length - 300, bytes.length - 299)],
      ["differ; the one at the end counts", (bytes) => setFooter(bytes, { timeStamp: 5 }, [0])],
      ["alike, but their checksum is 0x0", (bytes) => bytes.fill(0, 64, 68).fill(0, bytes.length - 448, bytes.length - 444)],
      ["dynamic disk header is damaged or altered", (bytes) => bytes.fill(1, 512 + 60, 512 + 61)],
    ];
    for (const [text, change] of damage) {
      const bytes = change(whole.slice());
      const volume = await open(bytes);
      expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining(text) }]);
      expect(Buffer.compare(await readVolume(volume), disk)).toBe(0);
      expect(await findings(bytes)).toMatchObject([{ severity: "corruption", text: expect.stringContaining(text) }]);
    }
  });

  test("two broken copies, or none, are refused", async () => {
    const bytes = await sample();
    const both = bytes
      .slice()
      .fill(9, 100, 101)
      .fill(8, bytes.length - 300, bytes.length - 299);
    expect(await failure(open(both))).toMatchObject({
      code: "corrupt",
      at: bytes.length - 512 + 64,
      message: expect.stringMatching(/checksum/),
    });
    const none = bytes
      .slice()
      .fill(0, 0, 8)
      .fill(0, bytes.length - 512);
    expect((await failure(open(none))).message).toContain("no footer");
    expect(vhd.probe(none.subarray(0, 65536), none.subarray(-65536))).toBe(true);
  });

  test("a fixed image with a wrong checksum is read only where its size is its file's", async () => {
    const bytes = await fixedSample();
    bytes[MIB + 64] = 0x12;
    const volume = await open(bytes);
    expect(volume.notes[0]?.text).toMatch(/damaged or altered: its checksum is 0x12/);
    put(bytes, MIB + 52, MIB - 512);
    expect((await failure(open(bytes))).at).toBe(MIB + Footer.offsetOf("currentSize"));
  });

  test("the footer of 511 bytes that old versions wrote", async () => {
    for (const whole of [await fixedSample(), await sample()]) {
      const bytes = whole.subarray(0, whole.length - 1);
      expect(vhd.probe(bytes.subarray(0, 65536), bytes.subarray(-65536))).toBe(true);
      const volume = await open(bytes);
      expect(volume.notes).toMatchObject([{ severity: "info", text: expect.stringContaining("511") }]);
      expect(Buffer.compare(await readVolume(volume), await readVolume(await open(whole)))).toBe(0);
      expect(await findings(bytes)).toEqual([]);
    }
  });

  test.each(["LUKS\xba\xbe\0\x01", "\x1f\x8b\x08", "PK\x03\x04", "BZh9"])(
    "a fixed image whose disk begins with %j is still a VHD",
    async (magic) => {
      const bytes = await fixedSample();
      bytes.set(tag(magic));
      expect(detect(bytes.subarray(0, 65536), bytes.subarray(-65536))).toBe(vhd);
    },
  );

  test("a guest's own VHD at the beginning of a fixed disk is data", async () => {
    const inner = await sample();
    const bytes = await written(4 * MIB, new Map([[0, inner.slice(0, UNIT)]]), { subformat: "fixed" });
    const volume = await open(bytes);
    expect([volume.variant, volume.size, volume.notes]).toEqual(["fixed", 4 * MIB, []]);
    expect(Buffer.compare(await readVolume(volume, 0, UNIT), inner.subarray(0, UNIT))).toBe(0);
  });
});

describe("size", () => {
  const geometry = (cylinders: number) => ({ cylinders, heads: 4, sectorsPerTrack: 17 });
  const CYLINDER = 4 * 17 * 512;
  test.each([
    ["win ", geometry(100), 7 * MIB, null],
    ["qem2", geometry(300), 7 * MIB, null],
    ["d2v ", geometry(100), 7 * MIB, null],
    ["tap\0", geometry(100), 7 * MIB, null],
    ["CTXS", geometry(100), 7 * MIB, null],
    ["vbox", geometry(100), 7 * MIB, null],
    ["vpc ", geometry(0), 7 * MIB, null],
    ["vpc ", { cylinders: 65535, heads: 16, sectorsPerTrack: 255 }, 7 * MIB, null],
    ["vpc ", geometry(100), 7 * MIB, "so that nothing is lost"],
    ["vs  ", geometry(210), 7 * MIB, "so that nothing is lost"],
    ["qemu", geometry(211), 211 * CYLINDER, "Other programs may leave out the last"],
    ["qemu", geometry(300), 7 * MIB, "has no room"],
  ] as const)("creator %j with the geometry %o: %i bytes", async (creator, chs, size, remark) => {
    const bytes = setFooter(await sample(), { creatorApplication: tag(creator), ...chs });
    const volume = await open(bytes);
    expect(volume.size).toBe(size);
    expect(volume.details).toMatchObject({ "current-size": 7 * MIB, "chs-size": chs.cylinders * chs.heads * chs.sectorsPerTrack * 512 });
    if (remark === null) expect(volume.notes).toEqual([]);
    else expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining(remark) }]);
    expect((await findings(bytes)).filter(({ severity }) => severity !== "warning")).toEqual([]);
    expect((await readVolume(volume)).subarray(0, MIB).every((byte) => byte === 1)).toBe(true);
  });

  test("the specification's geometry", () => {
    expect(geometryOf(4 * MIB)).toEqual({ cylinders: 120, heads: 4, sectorsPerTrack: 17 });
    expect(geometryOf(136_365_211_648)).toEqual({ cylinders: 65278, heads: 16, sectorsPerTrack: 255 });
    expect(geometryOf(2040 * 2 ** 30)).toEqual({ cylinders: 65535, heads: 16, sectorsPerTrack: 255 });
    expect(geometryOf(512 * MIB)).toEqual({ cylinders: 1040, heads: 16, sectorsPerTrack: 63 });
  });
});

describe("blocks", () => {
  test("entries that cannot be right name the guest range; what lies before them is still told", async () => {
    const bytes = await sample();
    const dataEnd = bytes.length - 512;
    for (const [value, text] of [
      [0, "header or table"],
      [3, "header or table"],
      [blockAt(0) / 512, "onto that of entry 0"],
      [blockAt(0) / 512 + 4096, "onto that of entry 0"],
      [blockAt(2) / 512 + 1, `room for blocks up to byte ${dataEnd} only`],
      [0x7fffffff, "room for blocks"],
    ] as const) {
      const damaged = bytes.slice();
      entry(damaged, 2, value);
      entry(damaged, 3, BLOCK_UNUSED);
      const volume = await open(damaged);
      expect(await volume.extents(0, volume.size)).toMatchObject([
        { kind: "raw", start: 0, length: UNIT, at: blockAt(0) + 512 },
        { kind: "hole", start: UNIT, length: UNIT },
      ]);
      const error = await failure(volume.extents(2 * UNIT + 512, 512));
      expect(error).toMatchObject({ code: "corrupt", at: TABLE_AT + 8, guest: { start: 2 * UNIT, length: UNIT } });
      expect(error.message).toContain(text);
      expect(await volume.extents(3 * UNIT, MIB)).toMatchObject([{ kind: "hole", length: MIB }]);
      const corrupt = (await findings(damaged)).filter(({ severity }) => severity === "corruption");
      expect(corrupt).toMatchObject([{ at: TABLE_AT + 8, guest: { start: 2 * UNIT, length: UNIT } }]);
    }
  });

  test("a file that is cut off loses only the blocks behind the cut; the last needs only the disk's part", async () => {
    const bytes = await sample();
    const volume = await open(bytes.subarray(0, blockAt(2) + 512 + MIB));
    expect(volume.notes[0]?.text).toContain("cut off");
    expect((await readVolume(volume, 3 * UNIT, MIB)).every((byte) => byte === 4)).toBe(true);
    const cut = await open(bytes.subarray(0, blockAt(2) + 511 + MIB));
    expect((await failure(cut.extents(3 * UNIT, MIB))).guest).toEqual({ start: 3 * UNIT, length: MIB });
    expect(Buffer.compare(await readVolume(cut, 0, 3 * UNIT), await readVolume(await open(bytes), 0, 3 * UNIT))).toBe(0);
  });

  test("in a dynamic image a clear bit is zero; the check tells where data stand behind it", async () => {
    const bytes = await sample();
    bytes[blockAt(1) + 5] = 0b1110_1111;
    const at = 2 * UNIT + (5 * 8 + 3) * 512;
    const volume = await open(bytes);
    expect((await readVolume(volume, at - 512, 1536)).map((byte, i) => (i % 512 === 0 ? byte : 0)).filter((byte) => byte !== 0)).toEqual(
      Uint8Array.of(3, 3),
    );
    expect(await findings(bytes)).toMatchObject([{ severity: "warning", at: blockAt(1) + 5, guest: { start: at, length: 512 } }]);
    bytes.fill(0, blockAt(1) + 512 + (5 * 8 + 3) * 512, blockAt(1) + 512 + (5 * 8 + 4) * 512);
    expect(await findings(bytes)).toEqual([]);
  });

  test("an unused block, and an entry past the end of the disk, are leaks", async () => {
    const bytes = await sample();
    entry(bytes, 2, BLOCK_UNUSED);
    expect(await findings(bytes)).toMatchObject([{ severity: "leak", at: blockAt(1) }]);
    setHeader(bytes, { maxTableEntries: 5 });
    entry(bytes, 4, blockAt(1) / 512);
    const report = await vhd.check!(memorySource("d.vhd", bytes), contextOf());
    expect(report).toMatchObject({ corruptions: 0, leaks: 2, allocatedClusters: 2, totalClusters: 4, fragmentedClusters: 1 });
  });

  test("small blocks, in any order", async () => {
    const unit = 4096;
    const stride = unit + 512;
    const size = 100 * unit - 512;
    const order = Array.from({ length: 100 }, (_, i) => (i * 37) % 100);
    const bytes = new Uint8Array(2048 + 100 * stride + 512);
    bytes.set((await sample()).subarray(0, 1536));
    bytes.set(bytes.subarray(0, 512), bytes.length - 512);
    setFooter(setHeader(bytes, { blockSize: unit, maxTableEntries: 100 }), { currentSize: BigInt(size) });
    for (const [i, slot] of order.entries()) {
      entry(bytes, i, i % 7 === 6 ? BLOCK_UNUSED : 4 + (slot * stride) / 512);
      bytes.fill(0xff, 2048 + slot * stride, 2048 + slot * stride + 1).fill(i + 1, 2048 + slot * stride + 512, 2048 + (slot + 1) * stride);
    }
    const expected = Uint8Array.from({ length: size }, (_, at) => (Math.floor(at / unit) % 7 === 6 ? 0 : Math.floor(at / unit) + 1));
    expect(Buffer.compare(await readVolume(await open(bytes)), expected)).toBe(0);
  });
});
