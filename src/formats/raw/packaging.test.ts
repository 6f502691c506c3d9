import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { combineCrc32 } from "../../core/crc32-algebra.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { raw } from "./index.ts";
import { deflateZeros, zstdZeros } from "./zero-stream.ts";

const folder = mkdtempSync(join(tmpdir(), "packaging-"));
afterAll(() => rmSync(folder, { recursive: true }));
const MIB = 1 << 20;
const DISK: TestDisk = {
  size: 9 * MIB + 512 * 3,
  pieces: [
    { start: MIB, bytes: noise(70_000, 1) },
    { start: 4 * MIB + 512, bytes: new TextEncoder().encode("spindle ".repeat(200_000)) },
    { start: 9 * MIB + 1024, bytes: noise(512, 3) },
  ],
};

test("the CRC of two pieces follows from theirs", () => {
  const sum = (bytes: Uint8Array) => testCompute().crc32(bytes);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 5000 }), (a, b) => {
      expect(combineCrc32(sum(a), sum(b), b.length)).toBe(sum(Buffer.concat([a, b])));
    }),
    { numRuns: 100 },
  );
});

test.each([1, 2, 11, 258, 259, 516, 517, 65_536, MIB, MIB - 1])("%i zeros as DEFLATE", (length) => {
  const stream = Buffer.concat([deflateZeros(length), deflateZeros(length), Uint8Array.of(3, 0)]);
  expect(inflateRawSync(stream).equals(Buffer.alloc(2 * length))).toBe(true);
  expect(deflateZeros(MIB).length).toBeLessThan(1100);
});

const zstd = judge("zstd");
test.skipIf(zstd === null).each([1, 5, 31, 32, 47, 512, 128 << 10, (128 << 10) + 1, 8 * MIB])("%i zeros as Zstandard", (length) => {
  const packed = zstdZeros(length);
  const plain = execFileSync("zstd", ["-dc"], { input: packed, maxBuffer: 1 << 30 });
  expect(plain.equals(Buffer.alloc(length))).toBe(true);
  packed[packed.length - 5] = 1;
  expect(spawnSync("zstd", ["-t"], { input: packed }).status).toBe(1);
});

async function write(disk: TestDisk, packaging: string): Promise<string> {
  const image = await writeImage(raw.target!.create(specFor(raw.target!, disk.size, `d.${packaging}`, { packaging }), testCompute()), disk);
  return image.save(folder);
}

describe.each([DISK, { size: 512, pieces: [] }, { ...DISK, size: 10 * MIB }])("a disk of $size bytes", (disk) => {
  test("gzip: one member", async () => {
    const file = readFileSync(await write(disk, "gzip"));
    expect(gunzipSync(file).equals(diskBytes(disk))).toBe(true);
    expect(file.readUInt32LE(file.length - 8)).toBe(testCompute().crc32(diskBytes(disk)));
  });

  test.skipIf(judge("gzip") === null)("gzip: gzip finds nothing wrong", async () => {
    execFileSync("gzip", ["-t", "-"], { input: readFileSync(await write(disk, "gzip")) });
  });

  test.skipIf(zstd === null)("Zstandard: frames", async () => {
    const path = await write(disk, "zstd");
    expect(execFileSync("zstd", ["-dc", path], { maxBuffer: 1 << 30 }).equals(diskBytes(disk))).toBe(true);
  });

  test.skipIf(zstd === null)("Zstandard: zstd finds a flipped bit anywhere in the frames", async () => {
    const path = await write(disk, "zstd");
    const packed = readFileSync(path);
    execFileSync("zstd", ["-tq", path]);
    for (let part = 0; part < 20; part++) {
      const damaged = Buffer.from(packed);
      const at = Math.floor((packed.length * part) / 20);
      damaged[at]! ^= 1;
      expect([at, spawnSync("zstd", ["-tq"], { input: damaged }).status]).toEqual([at, 1]);
    }
  });

  test("Google: disk.raw in an old-GNU tar", async () => {
    const path = await write(disk, "gce");
    const listed = execFileSync("tar", ["-tvzf", path], { encoding: "utf8" });
    expect(listed.trim().split(/\s+/).slice(2).join(" ")).toBe(`${disk.size} 1970-01-01 00:00 disk.raw`);
    expect(execFileSync("tar", ["-xzOf", path, "disk.raw"], { maxBuffer: 1 << 30 }).equals(diskBytes(disk))).toBe(true);
    expect(gunzipSync(readFileSync(path)).subarray(257, 265).toString("latin1")).toBe("ustar  \0");
  });
});

test("disks that Google does not take are told", () => {
  const losses = (size: number) => raw.target!.losses(specFor(raw.target!, size, "d", { packaging: "gce" }));
  expect(losses(2 ** 30)).toEqual([]);
  expect(losses(2 ** 30 + 512)).toMatchObject([{ severity: "warning" }]);
});
