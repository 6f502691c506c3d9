import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { contextOf, readVolume, testCompute } from "../testing/image-harness.ts";
import { corpusFolder, type JudgeName, judge, readTable } from "../testing/judges.ts";
import { openDisk } from "./chain.ts";
import { slimDisk } from "./slim.ts";

const folder = mkdtempSync(join(tmpdir(), "slim-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));
const { signal } = new AbortController();
const corpus = corpusFolder();
const e2fsck = judge("e2fsck" as JudgeName);
const gzip = judge("gzip");
const xz = judge("xz");

async function slimOf(name: string) {
  const path = join(corpus as string, "files", name);
  const unpack = name.endsWith(".xz") ? xz : name.endsWith(".gz") ? gzip : null;
  const bytes = unpack === null ? new Uint8Array(readFileSync(path)) : unpack.bytes(["-dc", path]);
  const disk = await openDisk(memorySource(name.replace(/\.[xg]z$/, ""), bytes), contextOf());
  return { bytes, slim: await slimDisk(disk, testCompute(), signal) };
}

/** Damaged in every way that e2fsck repairs: every other is enough. */
const rows = corpus === null ? [] : readTable(readFileSync(join(corpus, "manifest.tsv"), "utf8"));
const all = rows.filter(
  ({ name, content, virtual_size }) => /^fs=ext/.test(content ?? "") && name?.startsWith("e2fsprogs/") && Number(virtual_size) <= 32 << 20,
);
const damaged = all.map(({ name }) => name as string).filter((_, i) => i % 2 === 0);

describe.skipIf(corpus === null || e2fsck === null || gzip === null || xz === null)("real ones, many of them damaged", () => {
  test.skipIf(damaged.length === 0).each(damaged)("e2fsck finds the same in %s", async (name) => {
    const { bytes, slim } = await slimOf(name);
    const path = join(folder, "fs.img");
    writeFileSync(path, bytes);
    const before = e2fsck!.run(["-f", "-n", path]);
    writeFileSync(path, await readVolume(slim.disk.chain));
    expect(e2fsck!.run(["-f", "-n", path])).toEqual(before);
  });

  test("shadow copies keep a volume whole", async () => {
    const { slim } = await slimOf("plaso/vsstest.qcow2");
    expect(slim.fileSystems).toEqual([]);
    expect(slim.refused).toMatchObject([{ kind: "ntfs", why: expect.stringContaining("shadow copies") }]);
  });

  test("what Windows made is slimmed", async () => {
    const { slim } = await slimOf("dfvfs/windows_volume.qcow2");
    expect(slim.fileSystems).toMatchObject([{ kind: "ntfs", doubtfulBytes: 0 }]);
    expect(slim.savedBytes).toBeGreaterThan(0);
  });
});
