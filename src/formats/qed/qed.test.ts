import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import type { DiskErrorCode } from "../../core/errors.ts";
import type { TargetSpec } from "../../core/target.ts";
import { countingSource } from "../../testing/counting-source.ts";
import { diskBytes, diskOf, noise, patternDisk, same } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import type { SparseFile } from "../../testing/sparse-file.ts";
import { raw } from "../raw/index.ts";
import { qed } from "./index.ts";
import { Header } from "./spec.ts";

const target = qed.target!;
const qemu = judge("qemu-img");
const folder = mkdtempSync(join(tmpdir(), "qed-"));
afterAll(() => rmSync(folder, { recursive: true }));

const K4 = 4096;
/** 4 KiB clusters, tables of two: 1,024 entries, so a table covers 4 MiB. */
const SPAN = 4 << 20;
const [L1_AT, L2_AT, DATA_AT] = [K4, 3 * K4, 5 * K4];
const SMALL = { cluster_size: "4k", table_size: "2" };
type Fields = Parameters<typeof Header.write>[0];

/** Clusters 0, 2 and 3 of the first table, and the first of the second; the disk ends one sector before cluster 1,030. */
async function sample(): Promise<Uint8Array<ArrayBuffer>> {
  const size = 1030 * K4 - 512;
  const disk = diskOf(size, K4, new Map([0, 2, 3, 1024].map((i) => [i, new Uint8Array(K4).fill((i % 100) + 1)])));
  const image = await writeImage(target.create(specFor(target, size, "d.qed", SMALL), testCompute()), disk);
  return image.files[0]!.read(0, image.sizes[0]!);
}
const change = (bytes: Uint8Array, fields: Partial<Fields>) => bytes.set(Header.write({ ...Header.read(bytes), ...fields }));
const put = (bytes: Uint8Array, at: number, value: number | bigint) => new DataView(bytes.buffer).setBigUint64(at, BigInt(value), true);
const open = (bytes: Uint8Array) => qed.open(memorySource("d.qed", bytes), contextOf());

describe("reading", () => {
  test.each<[Partial<Fields>, DiskErrorCode, (keyof Fields)?]>([
    [{ magic: 1 }, "corrupt"],
    [{ cluster_size: 0 }, "corrupt"],
    [{ cluster_size: 2048 }, "corrupt"],
    [{ cluster_size: 5000 }, "corrupt"],
    [{ cluster_size: 1 << 27 }, "corrupt"],
    [{ cluster_size: 0x80000000 }, "corrupt"],
    [{ table_size: 0 }, "corrupt"],
    [{ table_size: 3 }, "corrupt"],
    [{ table_size: 32 }, "corrupt"],
    [{ header_size: 0 }, "corrupt"],
    [{ header_size: 2 }, "corrupt", "l1_table_offset"],
    [{ header_size: 0xffffffff }, "corrupt"],
    [{ features: 8n }, "unsupported"],
    [{ features: 1n << 63n }, "unsupported"],
    [{ l1_table_offset: 0n }, "corrupt"],
    [{ l1_table_offset: 4097n }, "corrupt"],
    [{ l1_table_offset: 2n ** 64n - 4096n }, "corrupt"],
    [{ image_size: 513n }, "corrupt"],
    [{ image_size: 2n ** 32n + 512n }, "corrupt"],
    [{ image_size: 2n ** 63n }, "corrupt"],
    [{ features: 1n, backing_filename_offset: 80 }, "corrupt", "backing_filename_size"],
    [{ features: 1n, backing_filename_offset: 80, backing_filename_size: 1024 }, "corrupt", "backing_filename_size"],
    [{ features: 1n, backing_filename_offset: 8, backing_filename_size: 4 }, "corrupt", "backing_filename_offset"],
    [{ features: 1n, backing_filename_offset: 4000, backing_filename_size: 100 }, "corrupt", "backing_filename_offset"],
  ])("%o is refused by name and place", async (fields, code, named) => {
    const bytes = await sample();
    change(bytes, fields);
    const field = named ?? (Object.keys(fields)[0] as keyof Fields);
    const error = await failure(open(bytes));
    expect([error.code, error.file, error.at]).toEqual([code, "d.qed", Header.offsetOf(field)]);
  });

  test("the need-check mark is a warning; features that may be ignored are", async () => {
    const bytes = await sample();
    const expected = await readVolume(await open(bytes));
    change(bytes, {
      features: 2n,
      compat_features: 6n,
      autoclear_features: 1n << 60n,
      backing_filename_offset: 9,
      backing_filename_size: 9,
    });
    const volume = await open(bytes);
    expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("needing a check") }]);
    expect(volume.parent).toBe(null);
    expect(same(await readVolume(volume), expected)).toBe(true);
    expect(await qed.check!(memorySource("d.qed", bytes), contextOf())).toMatchObject({
      corruptions: 0,
      findings: [{ severity: "warning" }],
    });
  });

  test("a backing file is named; zero clusters hide it, holes show it", async () => {
    const bytes = await sample();
    const name = "../a ü.raw";
    const encoded = new TextEncoder().encode(name);
    bytes.set(encoded, 100);
    put(bytes, L2_AT + 8 * 4, 1);
    change(bytes, { features: 5n, backing_filename_offset: 100, backing_filename_size: encoded.length });
    const volume = await open(bytes);
    expect(volume.parent).toEqual({ role: "parent", name, id: null, format: "raw" });
    const base = await raw.open(memorySource("base", new Uint8Array(6 * K4).fill(99)), contextOf());
    const disk = await readVolume([volume, base]);
    expect(Array.from({ length: 7 }, (_, i) => disk[i * K4])).toEqual([1, 99, 3, 4, 0, 99, 0]);
    change(bytes, { features: 1n });
    expect((await open(bytes)).parent?.format).toBe(null);
  });

  test("entries out of place and shared ones name the guest range; what lies before them is still told", async () => {
    const bytes = await sample();
    put(bytes, L2_AT + 8, DATA_AT);
    put(bytes, L2_AT + 24, DATA_AT + 512);
    put(bytes, L2_AT + 32, K4);
    put(bytes, L2_AT + 40, 2n ** 63n);
    put(bytes, L2_AT + 48, L2_AT);
    const volume = await open(bytes);
    expect(await volume.extents(0, volume.size)).toEqual([{ kind: "raw", start: 0, length: K4, file: 0, at: DATA_AT }]);
    for (const cluster of [1, 3, 4, 5, 6])
      expect(await failure(volume.extents(cluster * K4 + 512, 512))).toMatchObject({
        code: "corrupt",
        at: L2_AT + cluster * 8,
        guest: { start: cluster * K4, length: K4 },
      });
    put(bytes, L1_AT, L1_AT);
    put(bytes, L1_AT + 8, bytes.length - K4);
    const lost = await open(bytes);
    expect(await failure(lost.extents(512, 512))).toMatchObject({ at: L1_AT, guest: { start: 0, length: SPAN } });
    expect(await failure(lost.extents(SPAN, 512))).toMatchObject({ at: L1_AT + 8, guest: { start: SPAN, length: 6 * K4 - 512 } });
  });

  test("a file that is cut off loses only what lies behind the cut", async () => {
    const bytes = await sample();
    const volume = await open(bytes.slice(0, bytes.length - 1));
    expect(await volume.extents(2 * K4, 2 * K4)).toMatchObject([{ kind: "raw", length: 2 * K4 }]);
    expect(await failure(volume.extents(SPAN, K4))).toMatchObject({ guest: { start: SPAN, length: K4 } });
  });

  test("tables of one cluster, which qemu's own reader refuses", async () => {
    const spec: TargetSpec = specFor(target, 3 * K4, "one.qed", { cluster_size: "4k", table_size: "1" });
    const disk = diskOf(3 * K4, K4, new Map([[1, noise(K4, 3)]]));
    const image = await writeImage(target.create(spec, testCompute()), disk);
    expect(same(await readVolume(await qed.open(image.files[0]!, contextOf())), diskBytes(disk))).toBe(true);
  });

  test("a huge image: its tables are read in pieces, and holes of many tables are one", async () => {
    const size = 2 ** 46;
    const image = await writeImage(target.create(specFor(target, size, "d.qed"), testCompute()), {
      size,
      pieces: [{ start: size - 4096, bytes: noise(4096, 1) }],
    });
    const file = image.files[0] as SparseFile;
    const counted = countingSource(file);
    const volume = await qed.open(counted, contextOf());
    const [hole] = await volume.extents(0, size);
    expect(hole).toMatchObject({ kind: "hole", start: 0 });
    expect(hole!.length).toBeGreaterThan(2 ** 43);
    expect(await volume.extents(size - 65536, 65536)).toMatchObject([{ kind: "raw", length: 65536 }]);
    expect(counted.bytesRead).toBeLessThan(300_000);
  });
});

describe("writing", () => {
  test("every L2 table lies in front of its clusters", async () => {
    const bytes = await sample();
    expect(Header.read(bytes)).toMatchObject({ cluster_size: K4, table_size: 2, header_size: 1, features: 0n, l1_table_offset: 4096n });
    const words = (at: number, count: number) => [...new BigUint64Array(bytes.buffer, at, count)].map(Number);
    expect(words(L1_AT, 3)).toEqual([L2_AT, DATA_AT + 3 * K4, 0]);
    expect(words(L2_AT, 5)).toEqual([DATA_AT, 0, DATA_AT + K4, DATA_AT + 2 * K4, 0]);
    expect(words(DATA_AT + 3 * K4, 2)).toEqual([DATA_AT + 5 * K4, 0]);
    expect(bytes.length).toBe(DATA_AT + 6 * K4);
  });

  test("a disk beyond the reach of the tables is a blocker", () => {
    expect(target.losses(specFor(target, 2 ** 32, "d", SMALL))).toEqual([]);
    expect(target.losses(specFor(target, 2 ** 32 + 512, "d", SMALL))).toMatchObject([{ severity: "blocker" }]);
    expect(target.losses(specFor(target, 2 ** 46, "d"))).toEqual([]);
    expect(target.losses(specFor(target, 512, "d", { cluster_size: "2M", table_size: "16" }))).toMatchObject([{ severity: "blocker" }]);
  });

  test.skipIf(qemu === null).each([
    ["4k", "2"],
    ["64k", "4"],
    ["2M", "8"],
    ["1M", "16"],
  ])("cluster_size=%s, table_size=%s: qemu-img finds the same disk and no fault, and counts alike", async (cluster_size, table_size) => {
    const disk = patternDisk(11);
    const spec = specFor(target, disk.size, `${cluster_size}.qed`, { cluster_size, table_size });
    const path = (await writeImage(target.create(spec, testCompute()), disk)).save(folder);
    writeFileSync(join(folder, "raw"), diskBytes(disk));
    expect(qemu!.must(["compare", "-f", "qed", "-F", "raw", path, join(folder, "raw")])).toContain("identical");
    const theirs = JSON.parse(qemu!.must(["check", "-f", "qed", "--output=json", path])) as Record<string, number>;
    using file = openFileSource(path);
    expect(await qed.check!(file, contextOf())).toMatchObject({
      corruptions: theirs["corruptions"] ?? 0,
      leaks: theirs["leaks"] ?? 0,
      allocatedClusters: theirs["allocated-clusters"],
      totalClusters: theirs["total-clusters"],
      fragmentedClusters: theirs["fragmented-clusters"] ?? 0,
      findings: [],
    });
  });

  test.skipIf(qemu === null)("what qemu-img writes reads the same, with a backing file too", async () => {
    const base = diskBytes(patternDisk(3)).subarray(0, 3 * (1 << 20) - 1536);
    writeFileSync(join(folder, "in.raw"), base);
    const path = join(folder, "q.qed");
    qemu!.must(["convert", "-f", "raw", "-O", "qed", join(folder, "in.raw"), path]);
    using file = openFileSource(path);
    const volume = await qed.open(file, contextOf());
    expect(volume.notes).toEqual([]);
    expect(same(await readVolume(volume), base)).toBe(true);
    expect(await qed.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    qemu!.must(["create", "-f", "qed", "-b", "in.raw", "-F", "raw", join(folder, "o.qed"), "4M"], { cwd: folder });
    using overlay = openFileSource(join(folder, "o.qed"));
    const top = await qed.open(overlay, contextOf());
    expect(top.parent).toEqual({ role: "parent", name: "in.raw", id: null, format: "raw" });
    using below = openFileSource(join(folder, "in.raw"));
    const disk = await readVolume([top, await raw.open(below, contextOf())]);
    expect(same(disk.subarray(0, base.length), readFileSync(join(folder, "in.raw")))).toBe(true);
    expect(disk.subarray(base.length).every((byte) => byte === 0)).toBe(true);
  });
});

describe("check", () => {
  const check = async (edit: (bytes: Uint8Array) => void) => {
    const bytes = await sample();
    edit(bytes);
    return { report: await qed.check!(memorySource("d.qed", bytes), contextOf()), bytes };
  };
  test("a sound image", async () => {
    expect((await check(() => {})).report).toEqual({
      corruptions: 0,
      leaks: 0,
      allocatedClusters: 4,
      totalClusters: 1030,
      compressedClusters: 0,
      fragmentedClusters: 0,
      imageEndOffset: DATA_AT + 6 * K4,
      findings: [],
    });
  });
  const spoil = (image: Uint8Array) => {
    put(image, L2_AT + 16, DATA_AT);
    put(image, L2_AT + 24, 99 * K4);
    put(image, L1_AT + 8, 0);
  };
  test("a shared cluster, an entry past the end, a lost table", async () => {
    const { report } = await check(spoil);
    expect(report).toMatchObject({ corruptions: 2, leaks: 5, allocatedClusters: 1 });
    expect(report.findings.slice(0, 3).map(({ severity, at, guest }) => [severity, at, guest?.start])).toEqual([
      ["corruption", L2_AT + 16, 2 * K4],
      ["corruption", L2_AT + 24, 3 * K4],
      ["leak", DATA_AT + K4, undefined],
    ]);
  });
  test.skipIf(qemu === null)("qemu-img counts as many of them", async () => {
    const { bytes } = await check(spoil);
    writeFileSync(join(folder, "bad.qed"), bytes);
    const theirs = JSON.parse(qemu!.run(["check", "-f", "qed", "--output=json", join(folder, "bad.qed")]).stdout) as Record<string, number>;
    expect([theirs["corruptions"], theirs["leaks"]]).toEqual([2, 5]);
  });
  test("entries past the end of the disk", async () => {
    const { report } = await check((image) => put(image, DATA_AT + 3 * K4 + 8 * 7, 1));
    expect(report).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    const { report: beyond } = await check((image) => {
      put(image, DATA_AT + 3 * K4, 0);
      put(image, DATA_AT + 3 * K4 + 8 * 7, DATA_AT + 5 * K4);
    });
    expect(beyond).toMatchObject({ corruptions: 0, leaks: 0, findings: [{ severity: "warning" }] });
  });
});
