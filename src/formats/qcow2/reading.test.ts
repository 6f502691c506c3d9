import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { DiskFormat, FormatContext } from "../../core/model.ts";
import { mixedBytes } from "../../testing/disks.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { type Judge, judge } from "../../testing/judges.ts";
import { qcow2 } from "./index.ts";

const qemuImg = judge("qemu-img") as Judge;
const qemuIo = judge("qemu-io") as Judge;
const check = qcow2.check as NonNullable<DiskFormat["check"]>;
const folder = mkdtempSync(join(tmpdir(), "spindle-qcow2-reading-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = (6 << 20) + 512;
const source = mixedBytes(SIZE);
const raw = join(folder, "source.raw");
writeFileSync(raw, source);

const at = (name: string) => join(folder, name);
const contextFor = (snapshot?: string): FormatContext => ({
  ...contextOf(),
  snapshot,
  resolve: async ({ role, name }) => (role === "data-file" ? openFileSource(at(basename(name))) : null),
});
async function open(name: string, snapshot?: string) {
  return qcow2.open(openFileSource(at(name)), contextFor(snapshot));
}
/** Reads as `expected`, and is found sound. */
async function expectDisk(name: string, expected: Uint8Array, snapshot?: string) {
  const volume = await open(name, snapshot);
  expect(Buffer.compare(await readVolume(volume), expected)).toBe(0);
  const report = await check(openFileSource(at(name)), contextFor());
  expect(report.findings.filter(({ severity }) => severity !== "warning")).toEqual([]);
  return volume;
}

/** What `qemu-img info` says about the format. */
const infoOf = (name: string): { data: Record<string, unknown> } =>
  (
    JSON.parse(qemuImg.must(["info", "--output=json", at(name)], { cwd: folder })) as {
      "format-specific": { data: Record<string, unknown> };
    }
  )["format-specific"];

const MATRIX: ReadonlyArray<readonly [options: string, compressed: boolean]> = [
  ...["512", "4k", "64k", "2M"].flatMap((cluster) => [
    [`cluster_size=${cluster}`, false] as const,
    [`cluster_size=${cluster}`, true] as const,
    [`cluster_size=${cluster},compression_type=zstd`, true] as const,
  ]),
  ["compat=0.10", false],
  ["compat=0.10", true],
  ["extended_l2=on", false],
  ["extended_l2=on,cluster_size=16k", true],
  ["extended_l2=on,cluster_size=2M,compression_type=zstd", true],
  ["lazy_refcounts=on", false],
  ["preallocation=metadata", false],
  ["preallocation=full,extended_l2=on", false],
  ...["1", "2", "4", "8", "32", "64"].map((bits) => [`refcount_bits=${bits}`, false] as const),
];

describe.skipIf(qemuImg === null)("images that qemu-img makes", () => {
  test.each(MATRIX)("%s, compressed: %s", async (options, compressed) => {
    qemuImg.must(["convert", ...(compressed ? ["-c"] : []), "-f", "raw", "-O", "qcow2", "-o", options, raw, at("made.qcow2")]);
    const volume = await expectDisk("made.qcow2", source);
    expect(volume.notes).toEqual([]);
    expect(volume.details).toEqual(infoOf("made.qcow2").data);
    expect(Object.keys(volume.details).sort()).toEqual(Object.keys(infoOf("made.qcow2").data).sort());
  });

  test.each(["on", "off"])("external data file, raw %s", async (bit) => {
    const name = `data-${bit}.qcow2`;
    qemuImg.must(["create", "-q", "-f", "qcow2", "-o", `data_file=data-${bit}.bin,data_file_raw=${bit}`, name, String(SIZE)], {
      cwd: folder,
    });
    qemuImg.must(["convert", "-n", "-f", "raw", "-O", "qcow2", raw, name], { cwd: folder });
    const volume = await expectDisk(name, source);
    expect(volume.files.map((file) => file.name)).toEqual([name, `data-${bit}.bin`]);
    expect(volume.details).toEqual(infoOf(name).data);
    const missing = qcow2.open(openFileSource(at(name)), { ...contextOf(), resolve: async () => null });
    await expect(missing).rejects.toMatchObject({ code: "missing-file", needs: `data-${bit}.bin` });
  });

  test("a backing file is named, its clusters are holes", async () => {
    qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", raw, at("base.qcow2")]);
    qemuImg.must(["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", at("top.qcow2")]);
    const top = await open("top.qcow2");
    expect(top.parent).toEqual({ role: "parent", name: "base.qcow2", id: null, format: "qcow2" });
    expect(await top.extents(0, top.size)).toEqual([{ kind: "hole", start: 0, length: SIZE }]);
    expect(Buffer.compare(await readVolume([top, await open("base.qcow2")]), source)).toBe(0);
  });

  test.skipIf(qemuIo === null).each(["", ",extended_l2=on", ",compat=0.10"])("zero, discarded and rewritten clusters%s", async (more) => {
    qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", "-o", `cluster_size=64k${more}`, raw, at("base.qcow2")]);
    qemuImg.must(["create", "-q", "-f", "qcow2", "-o", `cluster_size=64k${more}`, "-b", "base.qcow2", "-F", "qcow2", at("top.qcow2")]);
    const commands = [
      "write -z 64k 256k",
      "write -P 0x11 2M 10k",
      "write -z 2056k 1k",
      "write -P 0x22 70k 512",
      "discard 3M 128k",
      "write -zu 1M 64k",
    ];
    qemuIo.must([...commands.flatMap((command) => ["-c", command]), at("top.qcow2")]);
    qemuImg.must(["convert", "-O", "raw", at("top.qcow2"), at("expected.raw")]);
    const expected = await readVolume(await open("base.qcow2"));
    expect(Buffer.compare(expected, source)).toBe(0);
    const chain = [await open("top.qcow2"), await open("base.qcow2")];
    const flat = openFileSource(at("expected.raw"));
    expect(Buffer.compare(await readVolume(chain), await flat.read(0, flat.size))).toBe(0);
    const report = await check(openFileSource(at("top.qcow2")), contextFor());
    expect(report.findings.filter(({ severity }) => severity !== "warning")).toEqual([]);
  });

  test.skipIf(qemuIo === null).each(["compat=1.1", "compat=0.10", "extended_l2=on,cluster_size=16k"])(
    "internal snapshots, %s",
    async (options) => {
      const name = "snapshots.qcow2";
      qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", "-o", options, raw, at(name)]);
      qemuImg.must(["snapshot", "-c", "first", at(name)]);
      qemuIo.must(["-c", "write -P 0x33 1M 100k", at(name)]);
      const changed = source.slice();
      changed.fill(0x33, 1 << 20, (1 << 20) + (100 << 10));
      qemuImg.must(["snapshot", "-c", "second", at(name)]);
      qemuIo.must(["-c", "write -P 0x44 0 1M", at(name)]);
      const active = changed.slice();
      active.fill(0x44, 0, 1 << 20);
      const volume = await expectDisk(name, active);
      const list = JSON.parse(qemuImg.must(["info", "--output=json", at(name)])) as { snapshots: Array<Record<string, unknown>> };
      expect(
        volume.snapshots.map(({ id, name, vmStateSize, dateSeconds, dateNanoseconds }) => ({
          id,
          name,
          vmStateSize,
          dateSeconds,
          dateNanoseconds,
        })),
      ).toEqual(
        list.snapshots.map((s) => ({
          id: s["id"],
          name: s["name"],
          vmStateSize: s["vm-state-size"],
          dateSeconds: s["date-sec"],
          dateNanoseconds: s["date-nsec"],
        })),
      );
      await expectDisk(name, source, "first");
      await expectDisk(name, changed, "2");
      await expect(open(name, "third")).rejects.toMatchObject({ code: "usage" });
      if (options === "compat=1.1") {
        qemuImg.must(["resize", "-q", at(name), "8M"]);
        expect((await open(name)).size).toBe(8 << 20);
        await expectDisk(name, source, "1");
      }
    },
  );

  test("bitmaps are ignored and told", async () => {
    qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", raw, at("bitmaps.qcow2")]);
    qemuImg.must(["bitmap", "--add", at("bitmaps.qcow2"), "b0"]);
    const volume = await expectDisk("bitmaps.qcow2", source);
    expect(volume.notes.map(({ severity }) => severity)).toEqual(["info"]);
  });

  test("shrunk, grown and emptied disks", async () => {
    qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", raw, at("resized.qcow2")]);
    qemuImg.must(["resize", "-q", "--shrink", at("resized.qcow2"), "3000k"]);
    await expectDisk("resized.qcow2", source.slice(0, 3000 << 10));
    qemuImg.must(["resize", "-q", at("resized.qcow2"), "700M"]);
    const grown = await open("resized.qcow2");
    expect(await readVolume(grown, (3000 << 10) - 512, 1024)).toEqual(
      new Uint8Array([...source.slice((3000 << 10) - 512, 3000 << 10), ...new Uint8Array(512)]),
    );
    qemuImg.must(["create", "-q", "-f", "qcow2", at("empty.qcow2"), "0"]);
    expect((await open("empty.qcow2")).size).toBe(0);
  });
});
