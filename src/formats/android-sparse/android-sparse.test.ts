import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { contextOf, openWritten, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { androidSparse } from "./index.ts";
import { ChunkHeader, CRC32, DONT_CARE, FILL, Header, MAGIC, RAW } from "./spec.ts";

const folder = mkdtempSync(join(tmpdir(), "simg-"));
afterAll(() => rmSync(folder, { recursive: true }));
const simg2img = judge("simg2img");
const target = androidSparse.target!;

const DISK: TestDisk = {
  size: 9 << 20,
  pieces: [
    { start: 0, bytes: noise(70_000, 1) },
    { start: 5 << 20, bytes: noise(4096, 2) },
    { start: (9 << 20) - 512, bytes: noise(512, 3) },
  ],
};

/** chunkType, chunkSize, what follows the header */
type Part = readonly [number, number, Uint8Array];
function build(parts: readonly Part[], change: Partial<ReturnType<typeof Header.read>> = {}): Uint8Array {
  const header = {
    magic: MAGIC,
    majorVersion: 1,
    minorVersion: 0,
    fileHeaderSize: Header.bytes,
    chunkHeaderSize: ChunkHeader.bytes,
    blockSize: 512,
    totalBlocks: parts.reduce((sum, [, blocks]) => sum + blocks, 0),
    totalChunks: parts.length,
    imageChecksum: 0,
    ...change,
  };
  const chunks = parts.map(([chunkType, chunkSize, data]) =>
    Buffer.concat([ChunkHeader.write({ chunkType, reserved: 0, chunkSize, totalSize: ChunkHeader.bytes + data.length }), data]),
  );
  return Buffer.concat([Header.write(header), ...chunks]);
}
const open = (bytes: Uint8Array) => androidSparse.open(memorySource("d.simg", bytes), contextOf());
const word = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

describe("reading", () => {
  const data = noise(1024, 7);
  const plain = Buffer.concat([data, Buffer.alloc(1024, Buffer.from([1, 2, 3, 4])), Buffer.alloc(512), noise(512, 8)]);
  const parts: Part[] = [
    [RAW, 2, data],
    [FILL, 2, Uint8Array.of(1, 2, 3, 4)],
    [DONT_CARE, 1, new Uint8Array(0)],
    [RAW, 1, noise(512, 8)],
  ];

  test("every kind of chunk, from any place", async () => {
    const volume = await open(build(parts));
    expect(volume.size).toBe(plain.length);
    expect(Buffer.from(await readVolume(volume)).equals(plain)).toBe(true);
    expect(Buffer.from(await readVolume(volume, 1500, 700)).equals(plain.subarray(1500, 2200))).toBe(true);
  });

  test("sums are compared, with and without what is left open", async () => {
    const { crc32 } = testCompute();
    const without = crc32(plain.subarray(2560), crc32(plain.subarray(0, 2048)));
    for (const sum of [crc32(plain), without]) {
      const right = await open(build([...parts, [CRC32, 0, word(sum)]], { imageChecksum: sum }));
      await expect(right.verify!(() => {})).resolves.toBeUndefined();
      const wrong = await open(build([...parts, [CRC32, 0, word(sum ^ 1)]]));
      await expect(wrong.verify!(() => {})).rejects.toMatchObject({ code: "corrupt" });
      const image = await open(build(parts, { imageChecksum: (sum ^ 4) >>> 0 }));
      await expect(image.verify!(() => {})).rejects.toMatchObject({ message: expect.stringContaining("imageChecksum") });
    }
    expect((await open(build(parts))).verify).toBeUndefined();
  });

  test("a few bytes that stand for a petabyte are summed at once; fills with zeros are zeros", async () => {
    const zeros = [0, 0, 0, 0];
    const huge = build(
      [
        [FILL, 0x7fff_ffff, Uint8Array.from(zeros)],
        [DONT_CARE, 0x7fff_ffff, new Uint8Array(0)],
        [FILL, 1, Uint8Array.of(1, 2, 3, 4)],
        [CRC32, 0, word(1)],
      ],
      { blockSize: 65_536 },
    );
    const volume = await open(huge);
    expect(await volume.extents(0, 2 ** 40)).toEqual([{ kind: "zero", start: 0, length: 2 ** 40 }]);
    const started = Date.now();
    await expect(volume.verify!(() => {})).rejects.toMatchObject({ code: "corrupt" });
    expect(Date.now() - started).toBeLessThan(500);
  });

  test("a list of millions of chunks is refused before it fills the memory", async () => {
    const chunks = (1 << 21) + 1;
    const bytes = new Uint8Array(28 + chunks * 12);
    bytes.set(build([], { totalBlocks: chunks, totalChunks: chunks }));
    await expect(open(bytes)).rejects.toMatchObject({ code: "limit" });
  });

  test.each([
    [{ blockSize: 0 }, "blockSize"],
    [{ blockSize: 510 }, "blockSize"],
    [{ totalBlocks: 7 }, "the chunks hold"],
    [{ totalBlocks: 5 }, "totalBlocks"],
    [{ totalChunks: 5 }, "ends before chunk"],
    [{ totalChunks: 0xffff_ffff }, "totalChunks"],
    [{ majorVersion: 2 }, "majorVersion"],
    [{ chunkHeaderSize: 4 }, "chunkHeaderSize"],
    [{ fileHeaderSize: 60_000 }, "fileHeaderSize"],
  ])("a header with %o is refused", async (change, message) => {
    await expect(open(build(parts, change))).rejects.toMatchObject({ name: "DiskError", message: expect.stringContaining(message) });
  });

  test("a pattern repeated for terabytes is followed only when asked for; zeros for as long cost nothing", async () => {
    const fill = (pattern: Uint8Array) => build([[FILL, 0xffff_fff0, pattern]], { blockSize: 4096 });
    await expect(open(fill(Uint8Array.of(1, 2, 3, 4)))).rejects.toMatchObject({
      code: "limit",
      message: expect.stringContaining("--any-size"),
    });
    const asked = { ...contextOf(), anySize: true };
    expect((await androidSparse.open(memorySource("d.simg", fill(Uint8Array.of(1, 2, 3, 4))), asked)).size).toBe(0xffff_fff0 * 4096);
    expect((await open(fill(new Uint8Array(4)))).size).toBe(0xffff_fff0 * 4096);
  });

  test("damaged chunks are refused, and so is every truncation", async () => {
    await expect(open(build([[0xcac9, 1, new Uint8Array(0)]]))).rejects.toMatchObject({ message: expect.stringContaining("chunkType") });
    await expect(open(build([[RAW, 3, data]]))).rejects.toMatchObject({ message: expect.stringContaining("totalSize") });
    const whole = build(parts);
    for (let cut = 0; cut < whole.length; cut += 97) await expect(open(whole.subarray(0, cut))).rejects.toMatchObject({ code: "corrupt" });
  });
});

describe.each(["fill", "dont_care"])("writing zeros as %s", (zeros) => {
  const write = (disk: TestDisk) => writeImage(target.create(specFor(target, disk.size, "d.simg", { zeros }), testCompute()), disk);

  test("reads back", async () => {
    for (const disk of [DISK, { size: 512, pieces: [] }, { ...DISK, size: DISK.size + 512 }]) {
      const volume = await openWritten(androidSparse, await write(disk));
      expect(Buffer.from(await readVolume(volume)).equals(diskBytes(disk))).toBe(true);
    }
  });

  test.skipIf(simg2img === null)("simg2img reads the same disk", async () => {
    const path = (await write(DISK)).save(folder);
    const out = join(folder, "out.raw");
    rmSync(out, { force: true });
    execFileSync("simg2img", [path, out]);
    const made = Buffer.alloc(DISK.size);
    readFileSync(out).copy(made);
    expect(made.equals(diskBytes(DISK))).toBe(true);
  });
});

const img2simg = judge("img2simg");
test.skipIf(img2simg === null)("what img2simg writes reads right", async () => {
  writeFileSync(join(folder, "in.raw"), diskBytes(DISK));
  execFileSync("img2simg", [join(folder, "in.raw"), join(folder, "aosp.simg")]);
  const volume = await open(readFileSync(join(folder, "aosp.simg")));
  expect(Buffer.from(await readVolume(volume)).equals(diskBytes(DISK))).toBe(true);
});
