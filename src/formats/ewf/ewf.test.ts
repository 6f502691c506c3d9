import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { checked, contextOf, readVolume, testCompute } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { ewf } from "./index.ts";
import { segmentName } from "./segments.ts";

const folder = mkdtempSync(join(tmpdir(), "ewf-"));
afterAll(() => rmSync(folder, { recursive: true }));
const acquire = judge("ewfacquirestream");

const DISK: TestDisk = {
  size: (5 << 20) + 512 * 7,
  pieces: [
    { start: 0, bytes: noise(2_000_000, 1) },
    { start: 3 << 20, bytes: new TextEncoder().encode("spindle ".repeat(20_000)) },
    { start: (5 << 20) + 512, bytes: noise(512 * 6, 2) },
  ],
};

/** What ewfacquirestream makes of the disk: its segment files. */
function make(name: string, options: readonly string[]): Uint8Array[] {
  const place = mkdtempSync(join(folder, name));
  writeFileSync(join(place, "in.raw"), diskBytes(DISK));
  const more = ["-q", "-D", "d", "-e", "e", "-E", "1", "-m", "fixed", "-M", "physical", "-N", "n", "-C", "c", "-P", "512"];
  execFileSync("ewfacquirestream", [...more, ...options, "-t", join(place, "disk")], {
    input: diskBytes(DISK),
    stdio: ["pipe", "ignore", "ignore"],
  });
  return readdirSync(place)
    .filter((file) => /\.[es]\d\d$/i.test(file))
    .sort()
    .map((file) => new Uint8Array(readFileSync(join(place, file))));
}
const sources = (files: readonly Uint8Array[]) => files.map((bytes, i) => memorySource(`disk.E0${i + 1}`, bytes));
const open = (files: readonly Uint8Array[]) => {
  const all = sources(files);
  return ewf.open(all[0]!, contextOf(all));
};

test("names of segments", () => {
  const name = (number: number) => segmentName("disk.E01", number);
  expect([1, 99, 100, 101, 126, 775, 776].map(name)).toEqual([
    "disk.E01",
    "disk.E99",
    "disk.EAA",
    "disk.EAB",
    "disk.EBA",
    "disk.EZZ",
    "disk.FAA",
  ]);
  expect(segmentName("a.e01", 100)).toBe("a.eaa");
  expect(segmentName("a.raw", 2)).toBeNull();
  expect(name(14_972)).toBeNull();
});

describe.skipIf(acquire === null)("what ewfacquirestream writes", () => {
  test.each([
    ["encase6", ["-f", "encase6", "-c", "deflate:fast"]],
    ["encase6 plain", ["-f", "encase6", "-c", "deflate:none"]],
    ["encase5 large chunks", ["-f", "encase5", "-c", "deflate:best", "-b", "1024"]],
    ["ftk", ["-f", "ftk"]],
    ["smart", ["-f", "smart"]],
    ["in segments", ["-f", "encase6", "-c", "deflate:none", "-S", "1048576"]],
  ])("%s", async (name, options) => {
    const files = make(name.replaceAll(" ", "-"), options);
    if (name === "in segments") expect(files.length).toBeGreaterThan(3);
    const volume = checked(await open(files));
    expect(volume.size).toBe(DISK.size);
    expect(Buffer.from(await readVolume(volume)).equals(diskBytes(DISK))).toBe(true);
    expect(Buffer.from(await readVolume(volume, 1_999_360, 40_960)).equals(diskBytes(DISK, 1_999_360, 40_960))).toBe(true);
  });

  test("a missing segment is asked for by name; the second alone is refused", async () => {
    const files = make("missing", ["-f", "encase6", "-c", "deflate:none", "-S", "1048576"]);
    await expect(open(files.slice(0, 1))).rejects.toMatchObject({ code: "missing-file", needs: "disk.E02" });
    await expect(open(files.slice(1))).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("first segment") });
  });

  test("a segment of another acquisition is refused, though name and number are right", async () => {
    const options = ["-f", "encase6", "-c", "deflate:none", "-S", "1048576"];
    const files = make("sets", options);
    const ofSet = (identifier: number, change = (_: DataView) => {}) =>
      files.map((bytes, i) => {
        const made = bytes.slice();
        const name = Buffer.from(i === 0 ? "volume\0" : "data\0");
        const at = Buffer.from(made).indexOf(name) + 76;
        const volume = made.subarray(at, at + 1052);
        const view = new DataView(made.buffer, at, 1052);
        volume.fill(identifier, 64, 80);
        change(view);
        view.setUint32(1048, testCompute().adler32(volume.subarray(0, 1048)), true);
        return made;
      });
    const mix = (one: Uint8Array[], other: Uint8Array[]) => open(one.map((bytes, i) => (i === 2 ? (other[i] as Uint8Array) : bytes)));
    await expect(open(ofSet(1))).resolves.toMatchObject({ size: DISK.size });
    await expect(mix(ofSet(1), ofSet(0))).resolves.toMatchObject({ size: DISK.size });
    const refused = (field: string) => ({ code: "corrupt", message: expect.stringContaining(field), file: "disk.E03" });
    await expect(mix(ofSet(1), ofSet(2))).rejects.toMatchObject(refused("setIdentifier"));
    const larger = ofSet(1, (view) => view.setUint32(16, view.getUint32(16, true) + 1, true));
    await expect(mix(ofSet(1), larger)).rejects.toMatchObject(refused("sectorCount"));
  });

  test("a damaged table is replaced by its mirror, header and entries; both damaged is an error", async () => {
    const [whole] = make("mirror", ["-f", "encase6", "-c", "deflate:fast"]) as [Uint8Array];
    const places = (type: string) => {
      const mark = Buffer.concat([Buffer.from(type), Buffer.alloc(16 - type.length)]);
      return Buffer.from(whole).indexOf(mark) + 76;
    };
    const [table, mirror] = [places("table"), places("table2")];
    const altered = (...offsets: number[]) => {
      const bytes = whole.slice();
      for (const at of offsets) bytes[at] = (bytes[at] as number) ^ 1;
      return open([bytes]).then((volume) => readVolume(volume));
    };
    for (const offset of [0, 9, 20, 24, 31]) {
      expect(Buffer.from(await altered(table + offset)).equals(diskBytes(DISK)), `${offset}`).toBe(true);
      await expect(altered(table + offset, mirror + offset)).rejects.toMatchObject({ code: "corrupt" });
    }
    await expect(altered(table + 24, mirror)).rejects.toMatchObject({ code: "corrupt" });
  });

  test("no altered or cut image gives other bytes in silence", async () => {
    const [whole] = make("altered", ["-f", "encase6", "-c", "deflate:fast"]) as [Uint8Array];
    const expected = diskBytes(DISK);
    const outcome = async (bytes: Uint8Array) => {
      const result = await open([bytes])
        .then((volume) => readVolume(volume))
        .catch((error: unknown) => {
          if ((error as Error).name !== "DiskError") throw error;
          return null;
        });
      return result === null || Buffer.from(result).equals(expected);
    };
    for (let i = 0; i < 60; i++) {
      const altered = whole.slice();
      const at = i < 30 ? i * 53 : Math.floor((whole.length * (i - 30)) / 30);
      altered[at] = (altered[at] as number) ^ (1 << (i % 8));
      expect(await outcome(altered)).toBe(true);
      if (i < 20) expect(await outcome(whole.subarray(0, Math.floor((whole.length * i) / 20)))).toBe(true);
    }
  });
});
