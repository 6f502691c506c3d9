import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import { noise } from "../../testing/disks.ts";
import { ascii, build, END, filled, raw, SOUND, type TestChunk, type TestTable, zlib } from "../../testing/dmg-images.ts";
import { failure } from "../../testing/failure.ts";
import { checked, contextOf, readVolume } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { detect } from "../registry.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { dmg } from "./index.ts";
import { readPropertyList } from "./property-list.ts";
import { KIND_BZIP2, KIND_COMMENT, KIND_LZMA, KIND_ZLIB, SECTOR, Trailer, type TrailerFields } from "./spec.ts";

const folder = mkdtempSync(join(tmpdir(), "dmg-reading-"));
afterAll(() => rmSync(folder, { recursive: true }));

const open = (bytes: Uint8Array) => dmg.open(memorySource("d.dmg", bytes), contextOf());
const check = (bytes: Uint8Array) => dmg.check!(memorySource("d.dmg", bytes), contextOf());
const PLAIN = Buffer.concat([filled(2, 1), filled(4, 2), filled(5, 0), filled(3, 3)]);

describe("reading", () => {
  test.each([false, true])("chunks of several tables; from a resource fork: %s", async (fork) => {
    const bytes = build(SOUND, {}, fork);
    expect(detect(bytes, bytes).id).toBe("dmg");
    const volume = await open(bytes);
    expect(volume).toMatchObject({ size: 14 * SECTOR, notes: [], variant: "raw, zlib" });
    expect(Buffer.compare(await readVolume(volume), PLAIN)).toBe(0);
    const kinds = (await checked(volume).extents(0, volume.size)).map(({ kind, start }) => [kind, start / SECTOR]);
    expect(kinds).toEqual([
      ["raw", 0],
      ["packed", 2],
      ["zero", 6],
      ["hole", 8],
      ["raw", 11],
    ]);
    expect(await readVolume(volume, 3 * SECTOR + 7, 9 * SECTOR)).toEqual(Uint8Array.from(PLAIN.subarray(3 * SECTOR + 7, 12 * SECTOR + 7)));
    expect(await check(bytes)).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
  });

  test("data that begins at an offset, tables in another order, the magic of a compressed stream at the front", async () => {
    const bytes = build([...SOUND].reverse(), {});
    const moved = Buffer.concat([ascii("BZh91AY&SY"), bytes]);
    const trailer = Trailer.read(moved, moved.length - 512);
    moved.set(Trailer.write({ ...trailer, dataForkOffset: 10n, xmlOffset: trailer.xmlOffset + 10n }), moved.length - 512);
    expect(detect(moved, moved).id).toBe("dmg");
    expect(Buffer.compare(await readVolume(await open(Uint8Array.from(moved))), PLAIN)).toBe(0);
  });

  test.each([0n, 3n])("the trailer states %i sectors: the tables decide, with a warning", async (sectorCount) => {
    const volume = await open(build(SOUND, { sectorCount }));
    expect(volume.size).toBe(14 * SECTOR);
    expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining(`${14 * SECTOR}`) }]);
  });

  test("a last chunk with zeros past the stated end is cut there; with anything else it is not", async () => {
    const last = (bytes: Uint8Array): TestTable[] => [{ first: 0, sectors: 8, chunks: [zlib(0, bytes), END] }];
    const zeros = await open(build(last(Buffer.concat([filled(6, 9), filled(2, 0)])), { sectorCount: 6n }));
    expect(zeros).toMatchObject({ size: 6 * SECTOR, notes: [{ severity: "info" }] });
    expect(await readVolume(zeros)).toEqual(filled(6, 9));
    const data = await open(build(last(filled(8, 9)), { sectorCount: 6n }));
    expect(data).toMatchObject({ size: 8 * SECTOR, notes: [{ severity: "warning" }] });
  });

  test("sectors that no table covers are holes, with a warning", async () => {
    const volume = await open(build([SOUND[0]!, { first: 10, sectors: 1, chunks: [raw(0, 1, 5), END] }], { sectorCount: 20n }));
    expect(volume.size).toBe(20 * SECTOR);
    expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining(`${11 * SECTOR} bytes`) }]);
    expect(await checked(volume).extents(8 * SECTOR, 12 * SECTOR)).toMatchObject([{ kind: "hole" }, { kind: "raw" }, { kind: "hole" }]);
  });

  test.each<[string, TestTable[], { code: string; guest: { start: number; length: number } }]>([
    [
      "two chunks for the same sectors",
      [{ first: 0, sectors: 8, chunks: [raw(0, 4, 1), raw(2, 4, 2), raw(6, 2, 3), END] }],
      { code: "corrupt", guest: { start: 2, length: 4 } },
    ],
    [
      "sectors left out",
      [{ first: 0, sectors: 8, chunks: [raw(0, 2, 1), raw(5, 3, 2), END] }],
      { code: "corrupt", guest: { start: 2, length: 3 } },
    ],
    [
      "data past the end",
      [{ first: 0, sectors: 8, chunks: [raw(0, 2, 1), { ...raw(2, 2, 1), offset: 1 << 20 }, raw(4, 4, 2), END] }],
      { code: "corrupt", guest: { start: 2, length: 2 } },
    ],
    [
      "a raw chunk of another length",
      [{ first: 0, sectors: 8, chunks: [raw(0, 2, 1), { ...raw(2, 2, 1), length: 700 }, raw(4, 4, 2), END] }],
      { code: "corrupt", guest: { start: 2, length: 2 } },
    ],
    [
      "an unknown kind",
      [{ first: 0, sectors: 8, chunks: [raw(0, 2, 1), { ...raw(2, 2, 1), kind: 0x80000009 }, raw(4, 4, 2), END] }],
      { code: "unsupported", guest: { start: 2, length: 2 } },
    ],
    [
      "a chunk too large to unpack",
      [{ first: 0, sectors: 8193, chunks: [raw(0, 2, 1), { kind: KIND_ZLIB, sector: 2, sectors: 8191, data: filled(1, 1) }, END] }],
      { code: "limit", guest: { start: 2, length: 8191 } },
    ],
  ])("%s: an error for those sectors only", async (_name, tables, { code, guest }) => {
    const volume = checked(await open(build(tables)));
    const bytes = { start: guest.start * SECTOR, length: guest.length * SECTOR };
    expect(await failure(volume.extents(bytes.start + 512, 512))).toMatchObject({ code, file: "d.dmg", guest: bytes });
    expect(await readVolume(volume, 0, bytes.start)).toEqual(filled(guest.start, 1));
    const rest = volume.size - bytes.start - bytes.length;
    if (rest > 0) expect((await readVolume(volume, bytes.start + bytes.length, rest)).every((byte) => byte > 1)).toBe(true);
    if (code === "corrupt") expect((await check(build(tables))).corruptions).toBeGreaterThan(0);
  });

  test("sectors that one table leaves out stay an error around what other tables tell", async () => {
    const out: TestTable = { first: 2, sectors: 10, chunks: [END] };
    const volume = checked(
      await open(
        build([{ first: 0, sectors: 4, chunks: [raw(0, 4, 1), END] }, out, { first: 3, sectors: 3, chunks: [raw(0, 3, 2), END] }]),
      ),
    );
    expect(await readVolume(volume, 0, 3 * SECTOR)).toEqual(filled(3, 1));
    expect(await failure(volume.extents(3 * SECTOR, SECTOR))).toMatchObject({ guest: { start: 3 * SECTOR, length: 3 * SECTOR } });
    expect(await failure(volume.extents(6 * SECTOR, SECTOR))).toMatchObject({ guest: { start: 6 * SECTOR, length: 6 * SECTOR } });
  });

  test("every sector is what one chunk says, or an error: any tables", async () => {
    const chunk = fc.record({ sector: fc.nat(20), sectors: fc.integer({ min: 1, max: 8 }) });
    const table = fc.record({ first: fc.nat(20), sectors: fc.nat(30), chunks: fc.array(chunk, { maxLength: 4 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(table, { minLength: 1, maxLength: 4 }), async (tables) => {
        let fill = 0;
        const told = tables.map((t) => ({ ...t, chunks: [...t.chunks.map(({ sector, sectors }) => raw(sector, sectors, ++fill)), END] }));
        const claims: number[][] = Array.from({ length: 64 }, () => []);
        const isCovered = claims.map((_, sector) => tables.some(({ first, sectors }) => sector >= first && sector < first + sectors));
        for (const { first, chunks } of told)
          for (const { sector, sectors, data } of chunks)
            for (let i = 0; i < sectors; i++) claims[first + sector + i]!.push(data![0] as number);
        const volume = checked(await open(build(told, { sectorCount: 64n })));
        for (const [sector, fills] of claims.entries()) {
          const read = await readVolume(volume, sector * SECTOR, SECTOR).catch((error: unknown) => error);
          if (fills.length > 1 || (fills.length === 0 && isCovered[sector])) expect(read).toBeInstanceOf(DiskError);
          else if (!(read instanceof DiskError)) expect(read).toEqual(filled(1, fills[0] ?? 0));
        }
      }),
      { numRuns: 60 },
    );
  });

  test("more packed bytes than a chunk of its size can have are not read", async () => {
    const far = { ...zlib(0, filled(8, 2)), length: 200_000 };
    const padding: TestChunk = { kind: KIND_COMMENT, sector: 0, sectors: 0, data: new Uint8Array(300_000) };
    const volume = checked(await open(build([{ first: 0, sectors: 8, chunks: [far, padding, END] }])));
    expect(await failure(volume.extents(0, volume.size))).toMatchObject({ code: "corrupt", guest: { start: 0, length: 8 * SECTOR } });
  });

  test("what cannot be read is refused by name", async () => {
    const cases: readonly [Partial<TrailerFields>, string, string][] = [
      [{ version: 5 }, "unsupported", "version"],
      [{ headerSize: 100 }, "corrupt", "headerSize"],
      [{ segmentCount: 2 }, "unsupported", "segmentCount"],
      [{ sectorCount: 1n << 63n }, "corrupt", "sectorCount"],
      [{ xmlOffset: 1n << 62n }, "corrupt", "xmlOffset"],
      [{ xmlLength: 1n << 62n }, "corrupt", "xmlLength"],
      [{ xmlLength: 0n }, "corrupt", "neither"],
      [{ dataForkOffset: 1n << 40n }, "corrupt", "dataForkOffset"],
    ];
    for (const [fields, code, word] of cases) {
      const error = await failure(open(build(SOUND, fields)));
      expect(error).toMatchObject({ code, file: "d.dmg", at: expect.any(Number), message: expect.stringContaining(word) });
    }
    const encrypted = Buffer.concat([ascii("encrcdsa"), Buffer.alloc(1000)]);
    expect(detect(encrypted, encrypted).id).toBe("dmg");
    expect(await failure(open(encrypted))).toMatchObject({ code: "unsupported", message: expect.stringContaining("encrypted") });
    expect(await failure(open(ascii("short")))).toMatchObject({ code: "corrupt" });
    const fork = build(SOUND, {}, true);
    for (let at = fork.length - 512 - 60; at < fork.length - 512; at++) {
      const damaged = fork.slice();
      damaged[at] = 0xff;
      await open(damaged)
        .then(readVolume)
        .catch((error: unknown) => expect(error).toBeInstanceOf(DiskError));
    }
  });

  test("property lists", () => {
    const read = (text: string) => readPropertyList(ascii(text), "d.dmg", 100);
    expect(read("<!-- <none> --><plist><dict/></plist>")).toMatchObject({ kind: "dict" });
    expect(read("<plist><array><data>QUJD\n RA==</data><true/></array></plist>")).toMatchObject({
      items: [
        { kind: "data", bytes: ascii("ABCD") },
        { kind: "text", text: "true" },
      ],
    });
    for (const text of [
      "",
      "<plist>",
      "<plist><dict></plist>",
      "<plist><dict><key>a</key></dict></plist>",
      "<plist><dict><key>a</key><true/><key>a</key><true/></dict></plist>",
      "<plist><array>text</array></plist>",
      "<plist><data>QUJ</data></plist>",
      "<plist><data>Q!JD</data></plist>",
      "<plist><string>a<b/></string></plist>",
      `<plist>${"<array>".repeat(100)}`,
      "<plist><what/></plist>",
      "<!-- never ends",
    ]) {
      let error: unknown;
      try {
        read(text);
      } catch (reason) {
        error = reason;
      }
      expect(error).toMatchObject({ name: "DiskError", code: "corrupt", file: "d.dmg" });
    }
  });

  test("base64 and the checksum of zeros agree with Node's", () => {
    for (let length = 0; length < 20; length++) {
      const bytes = noise(length, length + 1);
      const text = Buffer.from(bytes).toString("base64");
      expect(Buffer.from(encodeBase64(bytes)).toString()).toBe(text);
      expect(decodeBase64(ascii(text), "f", 0)).toEqual(bytes);
    }
  });
});

describe("chunks that are packed by other programs", () => {
  const sevenZip = judge("7zz");
  const plain = Buffer.concat([filled(300, 0x41), noise(200 * SECTOR, 3), filled(12, 0)]);
  const kinds = [
    { program: "xz", kind: KIND_LZMA },
    { program: "bzip2", kind: KIND_BZIP2 },
  ] as const;
  const hasAll = sevenZip !== null && kinds.every(({ program }) => judge(program) !== null);
  test.skipIf(!hasAll).each(kinds)("$program, which 7-Zip unpacks to the same", async ({ program, kind }) => {
    const data = judge(program)!.bytes(["-c"], { input: plain });
    const image = build([
      {
        first: 0,
        sectors: 512,
        chunks: [
          { kind, sector: 0, sectors: 512, data },
          { ...END, sector: 512 },
        ],
      },
    ]);
    expect(detect(image, image).id).toBe("dmg");
    expect(Buffer.compare(await readVolume(await open(image)), plain)).toBe(0);
    const place = mkdtempSync(join(folder, "other-"));
    writeFileSync(join(place, "o.dmg"), image);
    // By itself it goes by the magic at the front.
    sevenZip!.must(["x", "-tdmg", `-o${join(place, "out")}`, join(place, "o.dmg")]);
    expect(Buffer.compare(readFileSync(join(place, "out", readdirSync(join(place, "out"))[0]!)), plain)).toBe(0);
  });
});
