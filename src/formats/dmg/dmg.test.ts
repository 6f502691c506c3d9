import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { build, END, filled, raw, SOUND, u32 } from "../../testing/dmg-images.ts";
import { contextOf, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { dmg } from "./index.ts";
import { KIND_RAW, SECTOR, Trailer } from "./spec.ts";

const target = dmg.target!;
const MIB = 1 << 20;
const folder = mkdtempSync(join(tmpdir(), "dmg-"));
afterAll(() => rmSync(folder, { recursive: true }));

const check = (bytes: Uint8Array) => dmg.check!(memorySource("d.dmg", bytes), contextOf());

describe("check", () => {
  const plain = Buffer.concat([filled(2, 1), filled(4, 2), filled(2, 0)]);
  test("checksums of the tables, of the data fork and of those sums", async () => {
    const sums = [crc32(plain), crc32(filled(3, 3))];
    const tables = SOUND.map((table, i) => ({ ...table, checksum: sums[i]! }));
    const field = (value: number) => Buffer.concat([u32(value), Buffer.alloc(124)]);
    const unsummed = build(tables);
    const fork = unsummed.subarray(0, Number(Trailer.read(unsummed, unsummed.length - 512).dataForkLength));
    const fields = {
      dataChecksumType: 2,
      dataChecksum: field(crc32(fork)),
      masterChecksumType: 2,
      masterChecksum: field(crc32(Buffer.concat(sums.map(u32)))),
    };
    const sound = build(tables, fields);
    expect(await check(sound)).toMatchObject({ corruptions: 0, leaks: 0, findings: [], allocatedClusters: 3, compressedClusters: 1 });
    const changed = sound.slice();
    changed[5] = 77;
    expect((await check(changed)).findings.map(({ guest }) => guest)).toEqual([null, { start: 0, length: 8 * SECTOR }]);
    const wrongMaster = build(tables, { ...fields, masterChecksum: field(1) });
    expect(await check(wrongMaster)).toMatchObject({ corruptions: 1 });
  });

  test("bytes that no chunk uses, and bytes that two use", async () => {
    const unused = build([{ first: 0, sectors: 2, chunks: [raw(0, 2, 1), { ...raw(2, 0, 1), data: filled(1, 9) }, END] }]);
    expect(await check(unused)).toMatchObject({ leaks: 1, corruptions: 0 });
    const shared = build([
      { first: 0, sectors: 4, chunks: [raw(0, 2, 1), { kind: KIND_RAW, sector: 2, sectors: 2, offset: 512, length: 1024 }, END] },
    ]);
    expect((await check(shared)).findings).toMatchObject([{ severity: "corruption", at: 512 }, { severity: "warning" }]);
  });
});

describe("writing", () => {
  const disk = (size: number): TestDisk => ({
    size,
    pieces: [
      { start: 0, bytes: new Uint8Array(70_000).fill(0x5a) },
      { start: MIB + 512, bytes: noise(MIB, 7) },
      { start: size - 1024, bytes: filled(1, 3) },
    ],
  });
  const write = (size: number, options = {}) =>
    writeImage(target.create(specFor(target, size, "w.dmg", options), testCompute()), disk(size));

  test("the id is the given one, or one from the content", async () => {
    const id = "01234567-89ab-4cde-8f01-23456789abcd";
    const file = (await write(4 * MIB, { id })).files[0]!;
    const trailer = Trailer.read(await file.read(file.size - 512, 512));
    expect(Buffer.from(trailer.segmentId).toString("hex")).toBe(id.replaceAll("-", ""));
    await expect(async () => write(4 * MIB, { id: "x" })).rejects.toMatchObject({ code: "usage" });
    expect(target.losses(specFor(target, 1000, "d"))).toMatchObject([{ severity: "blocker" }]);
  });

  test("the data fork's checksum is right", async () => {
    const file = (await write(5 * MIB - 512)).files[0]!;
    const trailer = Trailer.read(await file.read(file.size - 512, 512));
    const sum = crc32(await file.read(0, Number(trailer.dataForkLength)));
    expect(new DataView(trailer.dataChecksum.buffer).getUint32(trailer.dataChecksum.byteOffset)).toBe(sum);
  });

  const sizes = [5 * MIB, 5 * MIB - 512];
  const sevenZip = judge("7zz");
  test.skipIf(sevenZip === null).each(sizes)("7-Zip unpacks the same disk of %i bytes", async (size) => {
    const place = mkdtempSync(join(folder, "7z-"));
    const path = (await write(size)).save(place);
    sevenZip!.run(["x", `-o${join(place, "out")}`, path]);
    const [name] = readdirSync(join(place, "out"));
    // Of the size in the trailer it takes no notice: the chunks themselves end where the disk does.
    expect(Buffer.compare(readFileSync(join(place, "out", name!)), diskBytes(disk(size)))).toBe(0);
  });

  const dmg2img = judge("dmg2img");
  test.skipIf(dmg2img === null).each(sizes)("dmg2img unpacks the same disk of %i bytes", async (size) => {
    const place = mkdtempSync(join(folder, "d2i-"));
    const path = (await write(size)).save(place);
    dmg2img!.must(["-s", path, join(place, "out")]);
    expect(Buffer.compare(readFileSync(join(place, "out")), diskBytes(disk(size)))).toBe(0);
  });

  const qemu = judge("qemu-img");
  test.skipIf(qemu === null).each(sizes)("qemu-img finds the same disk of %i bytes", async (size) => {
    const place = mkdtempSync(join(folder, "qemu-"));
    const path = (await write(size)).save(place);
    writeFileSync(join(place, "raw"), diskBytes(disk(size)));
    expect(qemu!.must(["compare", "-f", "dmg", "-F", "raw", path, join(place, "raw")])).toContain("identical");
  });
});
