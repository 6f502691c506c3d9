import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { countingSource } from "../../testing/counting-source.ts";
import { diskBytes, diskOf, noise, same } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import type { SparseFile } from "../../testing/sparse-file.ts";
import {
  addItem,
  BAT_AT,
  DATA_AT,
  HEADERS,
  ITEMS_AT,
  METADATA_AT,
  makeDifferencing,
  patchHeaders,
  patchRegionTables,
  REGION_TABLES,
  setBat,
  sum,
  u16,
  u32,
  u64,
} from "../../testing/vhdx-images.ts";
import { vhdx } from "./index.ts";

const target = vhdx.target!;
const sevenZip = judge("7zz");
const folder = mkdtempSync(join(tmpdir(), "vhdx-reading-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 1 << 20;
const DISK = diskOf(5 * MIB, MIB, new Map([0, 2, 3].map((i) => [i, noise(MIB, i + 1)])));

/** MiB 0, 2 and 3 of a 5 MiB disk hold data, in the file's MiB 4, 5 and 6. */
async function sample(options: Readonly<Record<string, string>> = {}, disk = DISK, name = "d.vhdx"): Promise<SparseFile> {
  const image = await writeImage(target.create(specFor(target, disk.size, name, { block_size: "1M", ...options }), testCompute()), disk);
  return image.files[0]!;
}
const open = (file: ByteSource) => vhdx.open(file, contextOf());

describe("headers and region tables", () => {
  test.each<[string, number, Uint8Array, DiskErrorCode]>([
    ["logVersion", 64, u16(1), "unsupported"],
    ["version", 66, u16(9), "unsupported"],
    ["logLength", 68, u32(4096), "corrupt"],
    ["logLength", 68, u32(0xfff00000), "corrupt"],
    ["logOffset", 72, u64(0), "corrupt"],
    ["logOffset", 72, u64(MIB + 512), "corrupt"],
    ["logOffset", 72, u64(2 ** 60), "corrupt"],
    ["overlap", 72, u64(METADATA_AT), "corrupt"],
  ])("%s at %i that cannot be is refused by name", async (field, offset, bytes, code) => {
    const file = await sample();
    await patchHeaders(file, offset, bytes);
    const error = await failure(open(file));
    expect(error).toMatchObject({ code, file: "d.vhdx", message: expect.stringContaining(field) });
    expect(error.at).toBe(field === "overlap" ? METADATA_AT : HEADERS[1] + offset);
  });

  test("the header with the greater sequence number counts; a damaged one is a warning, two are an error", async () => {
    const file = await sample();
    file.write(HEADERS[0] + 8, u64(77));
    file.write(HEADERS[0] + 32, new Uint8Array(16).fill(0xab));
    await sum(file, HEADERS[0], 4096);
    expect((await open(file)).identity).toBe("abababab-abab-abab-abab-abababababab");
    file.write(HEADERS[0] + 2000, Uint8Array.of(1));
    const volume = await open(file);
    expect(volume.notes).toEqual([{ severity: "warning", text: expect.stringContaining("header 1 is damaged: checksum") }]);
    expect(same(await readVolume(volume), diskBytes(DISK))).toBe(true);
    expect(await vhdx.check!(file, contextOf())).toMatchObject({ corruptions: 0, findings: [{ severity: "warning", at: HEADERS[0] }] });
    file.write(HEADERS[1], Uint8Array.of(0));
    expect(await failure(open(file))).toMatchObject({
      code: "corrupt",
      at: HEADERS[0],
      message: expect.stringContaining("neither header"),
    });
  });

  test("two headers with the same sequence number must be the same", async () => {
    const file = await sample();
    await patchHeaders(file, 8, u64(5));
    expect((await open(file)).notes).toEqual([]);
    file.write(HEADERS[0] + 16, Uint8Array.of(1));
    await sum(file, HEADERS[0], 4096);
    expect((await failure(open(file))).at).toBe(HEADERS[1] + 8);
  });

  test("one damaged region table is a warning, and so are two that differ", async () => {
    const file = await sample();
    file.write(REGION_TABLES[0] + 5000, Uint8Array.of(1));
    expect((await open(file)).notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("region table 1") }]);
    await sum(file, REGION_TABLES[0], 65536);
    expect((await open(file)).notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("differ") }]);
  });

  test.each<[string, number, Uint8Array, DiskErrorCode]>([
    ["entryCount", 8, u32(2048), "corrupt"],
    ["does not list the BAT", 8, u32(0), "corrupt"],
    ["does not list the metadata", 8, u32(1), "corrupt"],
    ["required and not known", 16, new Uint8Array(16).fill(0x11), "unsupported"],
    ["the BAT has fileOffset", 32, u64(0), "corrupt"],
    ["the BAT has fileOffset", 32, u64(BAT_AT + 4096), "corrupt"],
    ["the BAT ends at", 32, u64(2 ** 50), "corrupt"],
    ["the BAT and the metadata region overlap", 32, u64(METADATA_AT), "corrupt"],
    ["the log and the BAT overlap", 32, u64(MIB), "corrupt"],
    ["the BAT has length", 40, u32(0), "corrupt"],
    ["the BAT has length", 40, u32(0xffffffff), "corrupt"],
  ])("%s", async (text, offset, bytes, code) => {
    const file = await sample();
    await patchRegionTables(file, offset, bytes);
    expect(await failure(open(file))).toMatchObject({
      code,
      file: "d.vhdx",
      at: expect.any(Number),
      message: expect.stringContaining(text),
    });
  });

  test("an unknown region that is not required is left alone, and its place is not free", async () => {
    const file = await sample();
    const entry = new Uint8Array(32).fill(0x22, 0, 16);
    entry.set(u64(7 * MIB), 16);
    entry.set(u32(MIB), 24);
    file.truncate(8 * MIB);
    await patchRegionTables(file, 16 + 64, entry);
    await patchRegionTables(file, 8, u32(3));
    expect(same(await readVolume(await open(file)), diskBytes(DISK))).toBe(true);
    expect(await vhdx.check!(file, contextOf())).toMatchObject({ leaks: 0 });
    setBat(file, 4, 6, 7 * MIB);
    expect((await failure(readVolume(await open(file)))).message).toContain("over another block or over");
  });
});

describe("metadata", () => {
  test.each<[string, number, Uint8Array]>([
    ["blockSize", 0, u32(0)],
    ["blockSize", 0, u32(3 * MIB)],
    ["blockSize", 0, u32(512 * MIB)],
    ["virtualDiskSize is 0", 8, u64(0)],
    ["virtualDiskSize is 5242881", 8, u64(5 * MIB + 1)],
    ["virtualDiskSize", 8, u64(64 * 2 ** 40 + 512)],
    ["logicalSectorSize is 513", 32, u32(513)],
    ["physicalSectorSize is 0", 36, u32(0)],
    ["the BAT has room for 131072 entries", 8, u64(2 ** 40)],
    ["parentLocator", 4, u32(2)],
  ])("%s is refused", async (text, offset, bytes) => {
    const file = await sample();
    file.write(ITEMS_AT + offset, bytes);
    expect(await failure(open(file))).toMatchObject({ code: "corrupt", at: expect.any(Number), message: expect.stringContaining(text) });
  });

  test.each<[string, number, Uint8Array]>([
    ["signature of the metadata table", 0, u32(0)],
    ["entryCount of the metadata table", 10, u16(2048)],
    ["no item physicalSectorSize", 10, u16(4)],
    ["outside the metadata region", 32 + 16, u32(MIB)],
    ["outside the metadata region", 32 + 16, u32(100)],
    ["has length 0, expected 8", 32 + 20, u32(0)],
    ["overlap", 32 + 16, u32(65536 + 4)],
  ])("%s", async (text, offset, bytes) => {
    const file = await sample();
    file.write(METADATA_AT + offset, bytes);
    expect(await failure(open(file))).toMatchObject({ code: "corrupt", at: expect.any(Number), message: expect.stringContaining(text) });
  });

  test("an unknown item is refused by name when it is required, and passed over when it is not", async () => {
    const file = await sample();
    addItem(file, new Uint8Array(16).fill(0x33), u32(1));
    const error = await failure(open(file));
    expect(error).toMatchObject({ code: "unsupported", at: METADATA_AT + 32 + 5 * 32 });
    expect(error.message).toContain("{33333333-3333-3333-3333-333333333333} is required");
    addItem(file, new Uint8Array(16).fill(0x33), u32(1), 1);
    expect(same(await readVolume(await open(file)), diskBytes(DISK))).toBe(true);
  });
});

describe("the BAT", () => {
  test.each([
    [0, "hole"],
    [1, "zero"],
    [2, "zero"],
    [3, "zero"],
    [5, "zero"],
  ])("state %i without a place, and with one that it keeps, is %s", async (state, kind) => {
    const file = await sample();
    setBat(file, 0, state);
    expect(await (await open(file)).extents(0, MIB)).toEqual([{ kind, start: 0, length: MIB }]);
    expect((await vhdx.check!(file, contextOf())).leaks).toBe(1);
    setBat(file, 0, state, DATA_AT);
    expect(await (await open(file)).extents(0, MIB)).toEqual([{ kind, start: 0, length: MIB }]);
    const report = await vhdx.check!(file, contextOf());
    expect(report).toMatchObject({ corruptions: 0, leaks: state === 0 ? 1 : 0 });
    expect(report.findings).toMatchObject([
      state === 0 ? { severity: "leak" } : { severity: "warning", at: BAT_AT, guest: { start: 0, length: MIB } },
    ]);
  });

  test.each<[string, number, number]>([
    ["a reserved state", 4, DATA_AT + 2 * MIB],
    ["has none", 7, DATA_AT + 2 * MIB],
    ["reserved bits", 6 + 8, DATA_AT + 2 * MIB],
    ["past the end", 6, 7 * MIB],
    ["past the end", 6, 2 ** 52],
    ["over another block", 6, DATA_AT + MIB],
    ["over another block", 6, 0],
    ["over another block", 6, METADATA_AT],
  ])("an entry that cannot be (%s): what lies before it is told, then the guest range that is lost", async (text, state, at) => {
    const file = await sample();
    setBat(file, 3, state, at);
    const volume = await open(file);
    const list = await volume.extents(0, volume.size);
    expect(list.at(-1)).toMatchObject({ start: 2 * MIB, length: MIB });
    const error = await failure(volume.extents(3 * MIB + 512, MIB));
    expect(error).toMatchObject({ code: "corrupt", at: BAT_AT + 24, guest: { start: 3 * MIB, length: MIB } });
    expect(error.message).toContain(text);
    expect(await volume.extents(4 * MIB, MIB)).toEqual([{ kind: "hole", start: 4 * MIB, length: MIB }]);
    const { findings, corruptions } = await vhdx.check!(file, contextOf());
    expect(corruptions).toBe(1);
    expect(findings[0]).toMatchObject({ severity: "corruption", at: BAT_AT + 24, guest: { start: 3 * MIB, length: MIB } });
  });

  test("sector bitmap entries of an image without a parent are passed over, whatever they say", async () => {
    const size = 2 ** 32 + 3 * MIB;
    const file = await sample({}, { size, pieces: [{ start: 2 ** 32 + MIB, bytes: noise(MIB, 8) }] });
    file.write(BAT_AT + 4096 * 8, u64(2 ** 40 + 7));
    expect(await (await open(file)).extents(2 ** 32 + MIB, 2 * MIB)).toEqual([
      { kind: "raw", start: 2 ** 32 + MIB, length: MIB, file: 0, at: DATA_AT },
      { kind: "hole", start: 2 ** 32 + 2 * MIB, length: MIB },
    ]);
  });

  test("a file that is cut off loses only the blocks behind the cut; bytes past the end of the disk may lack", async () => {
    const file = await sample({}, { size: 4 * MIB - 512, pieces: [{ start: 0, bytes: noise(4 * MIB - 512, 3) }] });
    file.truncate(8 * MIB - 512);
    expect((await readVolume(await open(file))).length).toBe(4 * MIB - 512);
    expect(await vhdx.check!(file, contextOf())).toMatchObject({ corruptions: 0, findings: [{ severity: "warning" }] });
    file.truncate(8 * MIB - 513);
    const volume = await open(file);
    expect(await volume.extents(0, volume.size)).toEqual([{ kind: "raw", start: 0, length: 3 * MIB, file: 0, at: DATA_AT }]);
    expect((await failure(volume.extents(3 * MIB, 512))).guest).toEqual({ start: 3 * MIB, length: MIB - 512 });
  });

  test.each([512, 4096])("a disk of 64 TiB with sectors of %i: the BAT is read a piece at a time", async (sector) => {
    const size = 64 * 2 ** 40;
    const start = size - 4096;
    const file = await sample({ logical_sector_size: String(sector) }, { size, pieces: [{ start, bytes: noise(4096, 4) }] });
    const counted = countingSource(file);
    const volume = await open(counted);
    expect(same(await readVolume(volume, start, 4096), noise(4096, 4))).toBe(true);
    expect(counted.bytesRead).toBeLessThan(600_000);
  });
});

describe("differencing images", () => {
  const LINKAGE = "83ed0ec3-24c8-49a6-a959-5e4bf1288bfb";
  const BITMAP_AT = DATA_AT + 3 * MIB;
  const KEYS = { parent_linkage: `{${LINKAGE.toUpperCase()}}`, relative_path: ".\\base.vhdx", absolute_win32_path: "\\\\?\\C:\\base.vhdx" };

  /** Blocks 0, 2 and 3 as in `sample`; of block 2 only the sectors whose bit is set. */
  async function partial(sector: 512 | 4096, isHere: (sector: number) => boolean): Promise<SparseFile> {
    const file = await sample({ logical_sector_size: String(sector) }, DISK, "child.avhdx");
    const parent = await sample({}, PARENT, "base.vhdx");
    const identity = (await open(parent)).identity;
    makeDifferencing(file, { ...KEYS, parent_linkage: `{${identity}}` });
    const ratio = (2 ** 23 * sector) / MIB;
    const bits = new Uint8Array(MIB);
    const perBlock = MIB / sector;
    for (let i = 0; i < perBlock; i++) if (isHere(i)) bits[(2 * perBlock + i) >> 3]! |= 1 << (i & 7);
    file.write(BITMAP_AT, bits);
    setBat(file, ratio, 6, BITMAP_AT);
    setBat(file, 2, 7, DATA_AT + MIB);
    setBat(file, 1, 2);
    return file;
  }
  const PARENT = diskOf(5 * MIB, MIB, new Map([0, 1, 2, 3, 4].map((i) => [i, noise(MIB, i + 91)])));
  function expectedOf(sector: number, isHere: (sector: number) => boolean): Uint8Array {
    const out = diskBytes(PARENT);
    out.set(diskBytes(DISK, 0, 2 * MIB), 0);
    out.set(diskBytes(DISK, 3 * MIB, MIB), 3 * MIB);
    for (let i = 0; i < MIB / sector; i++) if (isHere(i)) out.set(diskBytes(DISK, 2 * MIB + i * sector, sector), 2 * MIB + i * sector);
    return out;
  }

  test("the parent is asked for by its relative path and the id of its data", async () => {
    const file = await sample();
    makeDifferencing(file, KEYS);
    const volume = await open(file);
    expect(volume.variant).toBe("differencing");
    expect(volume.parent).toEqual({ role: "parent", name: ".\\base.vhdx", id: LINKAGE, format: "vhdx" });
    expect(volume.details["parent-locator"]).toEqual(KEYS);
    makeDifferencing(file, { parent_linkage: `{${LINKAGE}}`, volume_path: "v", absolute_win32_path: "a", parent_linkage2: `{${LINKAGE}}` });
    expect(await open(file)).toMatchObject({ parent: { name: "v" }, notes: [] });
    makeDifferencing(file, { ...KEYS, parent_linkage2: "{00000000-0000-0000-0000-000000000001}" });
    expect(await open(file)).toMatchObject({ notes: [], parent: { otherIds: ["00000000-0000-0000-0000-000000000001"] } });
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ["no parent_linkage", { relative_path: "base.vhdx" }],
    ["no parent_linkage", { relative_path: "base.vhdx", parent_linkage: "{83ed0ec3}" }],
    ["none of the keys", { parent_linkage: `{${LINKAGE}}`, relative_path: "" }],
  ])("a locator with %s is refused", async (text, keys) => {
    const file = await sample();
    makeDifferencing(file, keys);
    expect(await failure(open(file))).toMatchObject({ code: "corrupt", message: expect.stringContaining(text) });
  });

  test("a locator of another type, too short, or with texts outside of it", async () => {
    for (const [at, bytes, code] of [
      [0, u32(1), "unsupported"],
      [18, u16(500), "corrupt"],
      [20, u32(5000), "corrupt"],
      [28, u16(0xfff0), "corrupt"],
    ] as const) {
      const file = await sample();
      makeDifferencing(file, KEYS);
      file.write(METADATA_AT + 68 * 1024 + at, bytes);
      expect((await failure(open(file))).code).toBe(code);
    }
  });

  test.each([512, 4096] as const)("sectors of %i: each comes from where its bit says", async (sector) => {
    const pattern = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(pattern, fc.boolean(), async (lengths, first) => {
        const isHere = (i: number) => {
          let left = i;
          const run = lengths.findIndex((length) => {
            left -= length;
            return left < 0;
          });
          return run >= 0 && first === (run % 2 === 0);
        };
        const child = await open(await partial(sector, isHere));
        const parent = await open(await sample({}, PARENT, "base.vhdx"));
        expect(child.parent?.id).toBe(parent.identity);
        expect(same(await readVolume([child, parent]), expectedOf(sector, isHere))).toBe(true);
        const from = 2 * MIB + 7 * 512;
        expect(same(await readVolume([child, parent], from, 70_144), expectedOf(sector, isHere).subarray(from, from + 70_144))).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  test("every second sector: answers stay bounded", async () => {
    const isHere = (i: number) => i % 2 === 0;
    const child = await open(await partial(512, isHere));
    const list = await child.extents(2 * MIB, MIB);
    expect(list.slice(0, 3)).toEqual([
      { kind: "raw", start: 2 * MIB, length: 512, file: 0, at: DATA_AT + MIB },
      { kind: "hole", start: 2 * MIB + 512, length: 512 },
      { kind: "raw", start: 2 * MIB + 1024, length: 512, file: 0, at: DATA_AT + MIB + 1024 },
    ]);
    expect(list.length).toBeLessThanOrEqual(4096);
  });

  test.skipIf(sevenZip === null)("7-Zip reads the same from the pair", async () => {
    const isHere = (i: number) => i % 3 === 0 || i > 1500;
    const child = await partial(512, isHere);
    child.save(join(folder, child.name));
    (await sample({}, PARENT, "base.vhdx")).save(join(folder, "base.vhdx"));
    expect(same(sevenZip!.bytes(["x", "-so", join(folder, child.name)]), expectedOf(512, isHere))).toBe(true);
  });

  test("a partial block whose bitmap is not there, past the end or over other data cannot be known", async () => {
    for (const [state, at] of [
      [0, 0],
      [6, 2 ** 40],
      [6, METADATA_AT],
      [5, BITMAP_AT],
    ] as const) {
      const file = await partial(512, () => true);
      setBat(file, 4096, state, at);
      const volume = await open(file);
      const error = await failure(volume.extents(2 * MIB, MIB));
      expect(error).toMatchObject({
        at: BAT_AT + 16,
        guest: { start: 2 * MIB, length: MIB },
        message: expect.stringContaining("sector bitmap"),
      });
      expect(await vhdx.check!(file, contextOf())).toMatchObject({ corruptions: 1 });
    }
  });
});
