import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { DiskFormat, FormatContext, Volume } from "../../core/model.ts";
import { mixedBytes, noise, same } from "../../testing/disks.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { checked, contextOf, readVolume } from "../../testing/image-harness.ts";
import { type Judge, judge } from "../../testing/judges.ts";
import { detect } from "../registry.ts";
import { qcow } from "./index.ts";
import { HEADER } from "./spec.ts";

const check = qcow.check as NonNullable<DiskFormat["check"]>;
const qemuImg = judge("qemu-img");
const qemuIo = judge("qemu-io");
const withPassphrase = (passphrase?: string): FormatContext => ({ ...contextOf(), passphrase });
const warnings = (volume: Volume) => volume.notes.filter(({ severity }) => severity === "warning");

const SIZE = (6 << 20) + 512;
const source = mixedBytes(SIZE);

describe.skipIf(qemuImg === null || qemuIo === null)("images of qemu-img", () => {
  const qemu = qemuImg as Judge;
  const folder = mkdtempSync(join(tmpdir(), "spindle-qcow-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const at = (name: string) => join(folder, name);
  writeFileSync(at("source.raw"), source);
  const open = (name: string, passphrase?: string) => qcow.open(openFileSource(at(name)), withPassphrase(passphrase));
  const convert = (name: string, ...args: string[]) =>
    qemu.must(["convert", "-f", "raw", "-O", "qcow", ...args, at("source.raw"), at(name)]);
  const SECRET = ["--object", "secret,id=s,data=geheim"];
  const AES = [...SECRET, "-o", "encrypt.format=aes,encrypt.key-secret=s"];

  test("plain and compressed", async () => {
    convert("plain.qcow");
    const plain = await open("plain.qcow");
    expect([plain.size, plain.unit, plain.encrypted, warnings(plain)]).toEqual([SIZE, 4096, false, []]);
    expect(same(await readVolume(plain), source)).toBe(true);
    expect(await check(openFileSource(at("plain.qcow")), contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    // qemu-img 7.2 cannot end `convert -c` of this format when the disk ends inside a cluster.
    writeFileSync(at("whole.raw"), source.subarray(0, 6 << 20));
    qemu.run(["convert", "-f", "raw", "-O", "qcow", "-c", at("whole.raw"), at("packed.qcow")]);
    const packed = await open("packed.qcow");
    expect((await packed.extents(1 << 20, 65536)).map(({ kind }) => kind)).toContain("packed");
    expect(same(await readVolume(packed), source.subarray(0, 6 << 20))).toBe(true);
    const report = await check(openFileSource(at("packed.qcow")), contextOf());
    expect(report).toMatchObject({ corruptions: 0, leaks: 0, totalClusters: 1536 });
    expect(report.compressedClusters).toBeGreaterThan(100);
  });

  test("AES: locked without a passphrase, open with it, warned of a wrong one", async () => {
    convert("aes.qcow", ...AES);
    const locked = await open("aes.qcow");
    expect([locked.encrypted, locked.locked, locked.size]).toEqual([true, true, SIZE]);
    await expect(locked.extents(0, 512)).rejects.toMatchObject({ code: "passphrase" });
    expect(await check(openFileSource(at("aes.qcow")), contextOf())).toMatchObject({ corruptions: 0, leaks: 0 });
    const volume = await open("aes.qcow", "geheim");
    expect([volume.encrypted, volume.locked, warnings(volume)]).toEqual([true, false, []]);
    expect(same(await readVolume(volume), source)).toBe(true);
    expect(same(await readVolume(volume, 100_001, 777), source.subarray(100_001, 100_778))).toBe(true);
    // Block workers are sent neighbouring extents in one piece, with what lies between.
    expect(same((await volume.files[1]?.read(0, SIZE)) as Uint8Array, source)).toBe(true);
    expect(warnings(await open("aes.qcow", "Geheim"))).toHaveLength(1);
  });

  test("AES under compressed clusters, which are not encrypted", async () => {
    convert("mixed.qcow", ...AES);
    const image = `driver=qcow,encrypt.format=aes,encrypt.key-secret=s,file.driver=file,file.filename=${at("mixed.qcow")}`;
    qemuIo?.must([...SECRET, "--image-opts", image, "-c", "write -P 0x42 4M 64k", "-c", "write -c -P 0x43 5M 4k"]);
    const expected = source.slice();
    expected.fill(0x42, 4 << 20, (4 << 20) + 65536);
    expected.fill(0x43, 5 << 20, (5 << 20) + 4096);
    const volume = await open("mixed.qcow", "geheim");
    expect((await volume.extents(5 << 20, 4096)).map(({ kind }) => kind)).toContain("packed");
    expect(same(await readVolume(volume), expected)).toBe(true);
  });

  test("a layer over a backing file, with its clusters of 512 bytes", async () => {
    qemu.must(["create", "-q", "-f", "qcow", "-b", "source.raw", "-F", "raw", at("layer.qcow")]);
    qemuIo?.must(["-f", "qcow", at("layer.qcow"), "-c", "write -P 0x21 123k 100k", "-c", "write -P 0x22 6M 512"]);
    const layer = await open("layer.qcow");
    expect([layer.parent?.name, layer.unit]).toEqual(["source.raw", 512]);
    const base = await detect(new Uint8Array(), new Uint8Array()).open(openFileSource(at("source.raw")), contextOf());
    const expected = source.slice();
    expected.fill(0x21, 123 << 10, 223 << 10);
    expected.fill(0x22, 6 << 20, (6 << 20) + 512);
    expect(same(await readVolume([layer, base]), expected)).toBe(true);
  });

  test("a truncated file is an error, but for bytes that are past the end of the disk", async () => {
    convert("cut.qcow");
    using file = openFileSource(at("cut.qcow"));
    const whole = await file.read(0, file.size);
    const read = async (length: number) =>
      same(await readVolume(await qcow.open(memorySource("cut.qcow", whole.slice(0, length)), contextOf())), source);
    for (const length of [1, 47, 48, 60, 70, 4095, 4096, 8191, 100_000, whole.length - 4096])
      await expect(read(length), `${length} bytes`).rejects.toMatchObject({ code: "corrupt", file: "cut.qcow" });
    expect(await read(whole.length - 3584)).toBe(true);
  });
});

const CLUSTER = 4096;
/** 4 MiB in two L2 tables: cluster 0 raw, 1 raw, 2 compressed, 512 raw; the file is [header, L1][L2][L2][raw][raw][raw][compressed]. */
function tinyImage(): Uint8Array<ArrayBuffer> {
  const file = new Uint8Array(7 * CLUSTER);
  const header = HEADER.write({
    magic: 0x514649fb,
    version: 1,
    backing_file_offset: 0n,
    backing_file_size: 0,
    mtime: 0,
    size: 4n << 20n,
    cluster_bits: 12,
    l2_bits: 9,
    padding: 0,
    crypt_method: 0,
    l1_table_offset: 48n,
  });
  file.set(header);
  const view = new DataView(file.buffer);
  const put = (at: number, value: number | bigint) => view.setBigUint64(at, BigInt(value));
  put(48, CLUSTER);
  put(56, 2 * CLUSTER);
  put(CLUSTER, 3 * CLUSTER);
  put(CLUSTER + 8, 4 * CLUSTER);
  put(2 * CLUSTER, 5 * CLUSTER);
  const packed = deflateRawSync(new Uint8Array(CLUSTER).fill(0x33));
  file.set(packed, 6 * CLUSTER);
  put(CLUSTER + 16, (1n << 63n) | (BigInt(packed.length) << 51n) | BigInt(6 * CLUSTER));
  for (const i of [3, 4, 5]) file.set(noise(CLUSTER, i), i * CLUSTER);
  return file;
}

describe("a damaged image", () => {
  const read = async (edit: (view: DataView) => void) => {
    const file = tinyImage();
    edit(new DataView(file.buffer));
    const volume = await qcow.open(memorySource("tiny.qcow", file), contextOf());
    return { bytes: await readVolume(volume), volume };
  };

  test("none when nothing is changed", async () => {
    const { bytes, volume } = await read(() => {});
    const expected = new Uint8Array(4 << 20);
    expected.set(noise(CLUSTER, 3), 0);
    expected.set(noise(CLUSTER, 4), CLUSTER);
    expected.fill(0x33, 2 * CLUSTER, 3 * CLUSTER);
    expected.set(noise(CLUSTER, 5), 512 * CLUSTER);
    expect(same(bytes, expected)).toBe(true);
    expect(volume.notes).toEqual([]);
  });

  const headers: readonly (readonly [what: string, code: string, edit: (view: DataView) => void])[] = [
    ["cluster_bits is 8", "corrupt", (v) => v.setUint8(32, 8)],
    ["cluster_bits is 17", "corrupt", (v) => v.setUint8(32, 17)],
    ["l2_bits is 8", "corrupt", (v) => v.setUint8(33, 8)],
    ["l2_bits is 14", "corrupt", (v) => v.setUint8(33, 14)],
    ["crypt_method is 2", "unsupported", (v) => v.setUint32(36, 2)],
    ["size is 1", "corrupt", (v) => v.setBigUint64(24, 1n)],
    ["size is 0x7fffffffffffffff", "limit", (v) => v.setBigUint64(24, 0x7fffffffffffffffn)],
    ["size is 140737488355328", "limit", (v) => v.setBigUint64(24, 1n << 47n)],
    ["l1_table_offset is 0x0", "corrupt", (v) => v.setBigUint64(40, 0n)],
    ["l1_table_offset is 0x7000", "corrupt", (v) => v.setBigUint64(40, 7n << 12n)],
    ["backing_file_size is 0", "corrupt", (v) => v.setBigUint64(8, 64n)],
    ["version is 2", "unsupported", (v) => v.setUint32(4, 2)],
  ];
  test.each(headers)("header: %s", async (text, code, edit) => {
    await expect(read(edit)).rejects.toMatchObject({ code, file: "tiny.qcow", message: expect.stringContaining(text) });
  });

  const L2 = CLUSTER;
  const tables: readonly (readonly [what: string, guest: number, length: number, edit: (view: DataView) => void])[] = [
    ["not a multiple", 0, CLUSTER, (v) => v.setBigUint64(L2, 0x3200n)],
    ["past the end", 0, CLUSTER, (v) => v.setBigUint64(L2, 0x7000n)],
    ["past the end", 0, CLUSTER, (v) => v.setBigUint64(L2, 0x7fffffffffff7000n)],
    ["over the header", 0, CLUSTER, (v) => v.setBigUint64(L2, (1n << 63n) | (64n << 51n))],
    ["over the L2 table", 0, CLUSTER, (v) => v.setBigUint64(L2, 0x2000n)],
    ["another part of the disk", CLUSTER, CLUSTER, (v) => v.setBigUint64(L2 + 8, 0x3000n)],
    ["another part of the disk", 2 * CLUSTER, CLUSTER, (v) => v.setBigUint64(L2 + 8, 0x6000n)],
    ["no bytes", 2 * CLUSTER, CLUSTER, (v) => v.setBigUint64(L2 + 16, (1n << 63n) | 0x6000n)],
    ["L1 entry 0", 0, 2 << 20, (v) => v.setBigUint64(48, 0x1008n)],
    ["L1 entry 1", 2 << 20, 2 << 20, (v) => v.setBigUint64(56, 0x8000n)],
    ["over another one", 0, 2 << 20, (v) => v.setBigUint64(56, 0x1000n)],
  ];
  test.each(tables)("tables: %s, at byte %i of the disk", async (text, start, length, edit) => {
    await expect(read(edit)).rejects.toMatchObject({
      code: "corrupt",
      file: "tiny.qcow",
      guest: { start, length },
      message: expect.stringContaining(text),
    });
  });

  test("what lies around a damaged cluster can still be read", async () => {
    const file = tinyImage();
    new DataView(file.buffer).setBigUint64(L2 + 8, 0x9000n);
    const volume = checked(await qcow.open(memorySource("tiny.qcow", file), contextOf()));
    expect(same(await readVolume(volume, 0, CLUSTER), noise(CLUSTER, 3))).toBe(true);
    await expect(readVolume(volume, CLUSTER, 1)).rejects.toMatchObject({ guest: { start: CLUSTER, length: CLUSTER } });
    expect((await readVolume(volume, 2 * CLUSTER, CLUSTER)).every((byte) => byte === 0x33)).toBe(true);
  });

  test("check lists all that is wrong", async () => {
    const file = tinyImage();
    const damaged = new DataView(file.buffer);
    damaged.setBigUint64(L2 + 8, 0x9000n);
    damaged.setBigUint64(56, 0x1000n);
    const report = await check(memorySource("tiny.qcow", file), contextOf());
    expect(report).toMatchObject({ corruptions: 2, leaks: 5, imageEndOffset: 8192 });
    expect(report.findings.map(({ severity, at, guest }) => [severity, at, guest?.start])).toEqual([
      ["corruption", 48, 0],
      ["corruption", 56, 2 << 20],
      ["leak", 2 * CLUSTER, undefined],
    ]);
    expect(await check(memorySource("tiny.qcow", tinyImage()), contextOf())).toMatchObject({ allocatedClusters: 4, findings: [] });
  });

  test("any bytes changed: an error about the file, or a disk", async () => {
    const edits = fc.array(fc.tuple(fc.nat({ max: 2 * CLUSTER + 63 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 });
    const check = async (changes: readonly (readonly [number, number])[]) => {
      const file = tinyImage();
      for (const [at, value] of changes) file[at] = value;
      const read = async () => checked(await qcow.open(memorySource("tiny.qcow", file), contextOf())).extents(0, 4096);
      const error = await read().then(
        () => null,
        (reason: unknown) => reason,
      );
      if (error !== null) expect(error).toBeInstanceOf(DiskError);
    };
    await fc.assert(fc.asyncProperty(edits, check), { numRuns: 200 });
  });

  test("a size that is too small is told, within the last table too", async () => {
    // Two of the three clusters of the first table are inside the disk.
    const { volume } = await read((v) => v.setBigUint64(24, 2n * BigInt(CLUSTER)));
    expect(warnings(volume)).toContainEqual(
      expect.objectContaining({ text: expect.stringMatching(/past the end of the disk are in use \(1\)/) }),
    );
  });

  test("a size that is too small is told", async () => {
    const { volume } = await read((v) => v.setBigUint64(24, 1n << 20n));
    expect(warnings(volume)).toHaveLength(1);
  });

  test("clusters that lie twice as far apart as they should are told", async () => {
    const file = new Uint8Array(64 * CLUSTER);
    file.set(tinyImage().subarray(0, CLUSTER));
    const view = new DataView(file.buffer);
    for (let i = 0; i < 20; i++) view.setBigUint64(CLUSTER + 8 * i, BigInt((4 + 2 * i) * CLUSTER));
    expect(warnings(await qcow.open(memorySource("far.qcow", file), contextOf()))).toHaveLength(1);
  });
});
