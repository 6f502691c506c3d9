import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { checked, contextOf, readVolume } from "../../testing/image-harness.ts";
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
