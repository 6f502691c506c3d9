import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import type { DiskFormat } from "../../core/model.ts";
import type { TargetFormat } from "../../core/target.ts";
import { arbitraryDisk, diskBytes, diskOf, noise, type TestDisk } from "../../testing/disks.ts";
import {
  contextOf,
  openWritten,
  optionVariants,
  readVolume,
  specFor,
  testCompute,
  type WrittenImage,
  writeImage,
} from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import type { SparseFile } from "../../testing/sparse-file.ts";
import { qcow2 } from "./index.ts";

const target = qcow2.target as TargetFormat;
const check = qcow2.check as NonNullable<DiskFormat["check"]>;
const qemuImg = judge("qemu-img");
const folder = mkdtempSync(join(tmpdir(), "spindle-qcow2-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Options = Readonly<Record<string, string>>;
const create = (size: number, options: Options = {}) => target.create(specFor(target, size, "disk.qcow2", options), testCompute());
const written = (disk: TestDisk, options: Options) => writeImage(create(disk.size, options), disk);

/** Text, noise, one-byte runs that pack very small, an odd place and the last sector of a disk that ends inside a cluster. */
const MIXED: TestDisk = (() => {
  const size = 9 * (1 << 20) + 512 * 3;
  const text = new TextEncoder().encode("The quick brown fox jumps over the lazy dog. ".repeat(9000)).subarray(0, 384 << 10);
  const pieces = [
    { start: 0, bytes: text },
    { start: 1 << 20, bytes: noise(200 << 10, 7) },
    { start: (2 << 20) + 512, bytes: new Uint8Array(700 << 10).fill(0x55) },
    { start: 5 << 20, bytes: text.subarray(0, 100_352) },
    { start: (5 << 20) + 100_352, bytes: noise(70 << 10, 8) },
    { start: size - 512, bytes: noise(512, 9) },
  ];
  return { size, pieces };
})();

const COMBINED: readonly Options[] = [
  ...["512", "1k", "4k", "16k", "256k", "2M"].flatMap((cluster_size) =>
    ["deflate", "zstd"].map((compression) => ({ cluster_size, compression })),
  ),
  ...["16k", "64k", "2M"].flatMap((cluster_size) =>
    ["off", "deflate"].map((compression) => ({ cluster_size, compression, extended_l2: "on" })),
  ),
  ...["1", "2", "4", "8", "32", "64"].flatMap((refcount_bits) => [
    { refcount_bits, compression: "deflate" },
    { refcount_bits, compression: "zstd", cluster_size: "1k" },
  ]),
  { compat: "0.10", compression: "deflate" },
  { compat: "0.10", cluster_size: "512" },
  ...["off", "on"].flatMap((data_file_raw) => [
    { data_file: "data.bin", data_file_raw },
    { data_file: `${"n".repeat(196)}.bin`, data_file_raw, cluster_size: "512" },
    { data_file: "data.bin", data_file_raw, cluster_size: "2M", extended_l2: "on", refcount_bits: "1", lazy_refcounts: "on" },
  ]),
];

const named = (options: Options) =>
  Object.entries(options)
    .map(([name, value]) => `${name}=${value}`)
    .join(",") || "defaults";

describe("writing", () => {
  const variants = [...optionVariants(target), ...COMBINED]
    .filter((options) => target.losses(specFor(target, MIXED.size, "x", options)).every(({ severity }) => severity !== "blocker"))
    .map((options) => [named(options), options] as const);
  test.each(variants)("%s: read back and checked", async (_, options) => {
    const image = await written(MIXED, options);
    const volume = await openWritten(qcow2, image);
    expect(volume.notes).toEqual([]);
    expect(volume.size).toBe(MIXED.size);
    expect(Buffer.compare(await readVolume(volume), diskBytes(MIXED))).toBe(0);
    const report = await check(image.files[0] as never, contextOf(image.files));
    expect(report.findings).toEqual([]);
    expect(report.imageEndOffset).toBe(image.sizes[0]);
    expect((image.sizes[0] as number) % image.writer.unit).toBe(0);
  });
  test.skipIf(qemuImg === null).each(variants)("%s: qemu-img reads the same and finds neither corruption nor leak", async (_, options) => {
    const path = (await written(MIXED, options)).save(folder);
    const raw = join(folder, "disk.raw");
    writeFileSync(raw, diskBytes(MIXED));
    // QEMU looks for the external data file where it is started.
    const cwd = folder;
    expect(qemuImg!.must(["check", "-f", "qcow2", path], { cwd })).toContain("No errors were found");
    expect(qemuImg!.must(["compare", "-f", "raw", "-F", "qcow2", raw, path], { cwd })).toContain("Images are identical");
  });

  test("any disk under any options reads back and counts right", async () => {
    const options = fc.record({
      cluster_size: fc.constantFrom("512", "2k", "16k", "64k", "512k"),
      compression: fc.constantFrom("off", "deflate", "zstd"),
      refcount_bits: fc.constantFrom("1", "4", "16", "64"),
    });
    await fc.assert(
      fc.asyncProperty(arbitraryDisk(3 << 20), options, async (disk, chosen) => {
        const image = await written(disk, chosen);
        const volume = await openWritten(qcow2, image);
        expect(Buffer.compare(await readVolume(volume), diskBytes(disk))).toBe(0);
        const report = await check(image.files[0] as never, contextOf());
        expect([report.corruptions, report.leaks]).toEqual([0, 0]);
      }),
      { numRuns: 60 },
    );
  });

  test("the same disk gives the same bytes, and the header comes last", async () => {
    const [first, second] = [await written(MIXED, { compression: "deflate" }), await written(MIXED, { compression: "deflate" })];
    const bytes = async (image: WrittenImage) =>
      Buffer.from(await (image.files[0] as never as { read(a: number, n: number): Promise<Uint8Array> }).read(0, image.sizes[0] as number));
    expect((await bytes(first)).equals(await bytes(second))).toBe(true);
    const writer = create(1 << 20);
    expect([...writer.put(0, { kind: "data", bytes: new Uint8Array(writer.unit).fill(1) })].every(({ at }) => at >= writer.unit)).toBe(
      true,
    );
    expect([...writer.end().writes].findIndex(({ at }) => at === 0)).toBe(4);
  });

  test("an external data file is the disk, as far as it was written; the image counts only its own clusters", async () => {
    const image = await written(MIXED, { data_file: "data.bin", data_file_raw: "on" });
    expect(image.files.map(({ name }) => name)).toEqual(["disk.qcow2", "data.bin"]);
    expect(image.sizes).toEqual([5 * 65536, MIXED.size]);
    expect(Buffer.compare(await (image.files[1] as SparseFile).read(0, MIXED.size), diskBytes(MIXED))).toBe(0);
    const volume = await openWritten(qcow2, image);
    expect(volume.details).toMatchObject({ "data-file": "data.bin", "data-file-raw": true });
  });
  test.skipIf(qemuImg === null)("qemu-img finds the external data file", async () => {
    const path = (await written(MIXED, { data_file: "data.bin", data_file_raw: "on" })).save(folder);
    const info = JSON.parse(qemuImg!.must(["info", "--output=json", path], { cwd: folder }))["format-specific"].data;
    expect(info).toMatchObject({ "data-file": "data.bin", "data-file-raw": true });
  });

  test("compressed clusters lie back to back, across cluster borders", async () => {
    const unit = 65536;
    const half = (seed: number) => {
      const bytes = new Uint8Array(unit);
      bytes.set(noise(40_000, seed));
      return bytes;
    };
    const disk = diskOf(10 * unit, unit, new Map(Array.from({ length: 10 }, (_, i) => [i, half(i)])));
    const image = await written(disk, { compression: "deflate" });
    // 10 × about 40,000 bytes are 7 clusters; header, L2, L1, refcount block and table are 5.
    expect(image.sizes[0]).toBe(12 * unit);
    const single = await written(disk, { compression: "deflate", refcount_bits: "1" });
    expect(single.sizes[0]).toBe(15 * unit);
  });

  const size = 64 * 2 ** 40;
  const huge: TestDisk = {
    size,
    pieces: [
      { start: 0, bytes: noise(1000, 1) },
      { start: size - 65536, bytes: noise(65536, 2) },
    ],
  };
  test.skipIf(qemuImg === null)("64 TiB: qemu-img finds no error", async () => {
    expect(qemuImg!.must(["check", (await written(huge, {})).save(folder)])).toContain("No errors");
  });
  test("64 TiB with a block at either end", async () => {
    const image = await written(huge, {});
    const volume = await openWritten(qcow2, image);
    const first = await volume.extents(0, size);
    expect(first.map(({ kind }) => kind)).toEqual(["raw", "hole"]);
    const next = await volume.extents(1 << 30, size - (1 << 30));
    const last = next[0];
    expect([last?.kind, last?.start]).toEqual(["hole", 1 << 30]);
    expect(next.length).toBeLessThan(4);
    expect(Buffer.compare(await readVolume(volume, size - 65536), noise(65536, 2))).toBe(0);
  });

  test("limits are told as blockers, and then refused", () => {
    const blockers = (size: number, options: Options) =>
      target
        .losses(specFor(target, size, "disk.qcow2", options))
        .filter(({ severity }) => severity === "blocker")
        .map(({ what }) => what);
    const refused: ReadonlyArray<readonly [number, Options]> = [
      [2 ** 38, { cluster_size: "512" }],
      [2 ** 36, { cluster_size: "512", refcount_bits: "64" }],
      [2 ** 30, { compat: "0.10", compression: "zstd" }],
      [2 ** 30, { compat: "0.10", extended_l2: "on" }],
      [2 ** 30, { compat: "0.10", refcount_bits: "8" }],
      [2 ** 30, { cluster_size: "8k", extended_l2: "on" }],
      [2 ** 30, { compat: "0.10", lazy_refcounts: "on" }],
      [2 ** 30, { data_file: "d.raw", compat: "0.10" }],
      [2 ** 30, { data_file: "d.raw", compression: "zstd" }],
      [2 ** 30, { data_file: "../d.raw" }],
      [2 ** 30, { data_file: "Disk.qcow2" }],
      [2 ** 30, { data_file: "d".repeat(201) }],
    ];
    for (const [size, options] of refused) {
      expect(blockers(size, options)).toHaveLength(1);
      expect(() => create(size, options)).toThrow(DiskError);
    }
    expect(blockers(2 ** 36, { cluster_size: "512" })).toEqual([]);
    expect(blockers(2 ** 50, { cluster_size: "2M" })).toEqual([]);
    expect(target.losses(specFor(target, 2 ** 20, "x", { data_file_raw: "on" })).map(({ severity }) => severity)).toEqual(["warning"]);
    expect(target.losses(specFor(target, 1000, "x")).map(({ severity }) => severity)).toEqual(["note"]);
  });

  test.skipIf(qemuImg === null)("qemu-img takes the arguments that it is told to be given", () => {
    const raw = join(folder, "small.raw");
    writeFileSync(raw, noise(100 << 10, 3));
    for (const options of [...optionVariants(target), ...COMBINED]) {
      const spec = specFor(target, 100 << 10, "x", options);
      if (target.losses(spec).some(({ severity }) => severity === "blocker")) continue;
      const out = join(folder, "argued.qcow2");
      qemuImg?.must(["convert", "-f", "raw", ...(target.qemuArguments(spec) ?? []), raw, out], { cwd: folder });
      expect(readFileSync(out).readUInt32BE(20)).toBe(Math.log2(create(1024, options).unit));
    }
  });
});
