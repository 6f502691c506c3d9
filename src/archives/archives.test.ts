import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { openImage } from "../formats/registry.ts";
import { noise } from "../testing/disks.ts";
import { openFileSource } from "../testing/file-source.ts";
import { contextOf, readVolume } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";

const folder = mkdtempSync(join(tmpdir(), "archives-"));
afterAll(() => rmSync(folder, { recursive: true }));
const MIB = 1 << 20;
const at = (name: string) => join(folder, name);

/** A disk with a boot record, so that it is known for one. */
const disk = new Uint8Array(6 * MIB);
disk.set(noise(200_000, 1), 512);
disk.set(noise(512, 2), 5 * MIB);
disk.set([0x80, 0, 0, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 0, 4, 0, 0], 446);
disk.set([0x55, 0xaa], 510);
writeFileSync(at("disk.raw"), disk);
writeFileSync(at("readme.txt"), "nothing of interest\n");
/** Zeros that the file system does not store. */
writeFileSync(at("holes.raw"), disk.subarray(0, 300_000));
truncateSync(at("holes.raw"), 6 * MIB);
const withHoles = new Uint8Array(6 * MIB);
withHoles.set(disk.subarray(0, 300_000));

const run = (program: string, ...args: string[]) => execFileSync(program, args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
async function open(name: string, member?: string) {
  const source = openFileSource(at(name));
  return openImage({ ...source, origin: { handle: at(name), at: 0 } }, { ...contextOf(), member });
}
async function expectDisk(name: string, expected: Uint8Array, member?: string) {
  const volume = await open(name, member);
  expect(volume.size).toBe(expected.length);
  expect(Buffer.from(await readVolume(volume)).equals(expected)).toBe(true);
  return volume;
}
const altered = (name: string, place: number, value: number) => {
  const bytes = new Uint8Array(readFileSync(at(name)));
  bytes[place < 0 ? bytes.length + place : place] = value;
  return memorySource(name, bytes);
};

describe("tar", () => {
  test.each(["ustar", "gnu", "pax", "v7"])("%s, read in place", async (format) => {
    run("tar", `--format=${format}`, "-cf", `${format}.tar`, "readme.txt", "disk.raw");
    if (format === "v7") return expect(open("v7.tar")).rejects.toMatchObject({ code: "wrong-format" });
    const volume = await expectDisk(`${format}.tar`, disk);
    expect(volume.wrapping).toEqual(["tar"]);
    expect(volume.files[0]).toMatchObject({ name: "disk.raw", origin: { at: expect.any(Number) } });
  });

  test.each([["--format=gnu"], ["--format=pax", "--sparse-version=1.0"], ["--format=pax", "--sparse-version=0.1"]])(
    "sparse members, %s %s",
    async (...args) => {
      const name = `${args.join("")}.tar`;
      run("tar", ...args, "-S", "-cf", name, "holes.raw");
      expect(readFileSync(at(name)).length).toBeLessThan(MIB);
      await expectDisk(name, withHoles);
    },
  );

  test("several disks are a choice, made by name", async () => {
    run("cp", "holes.raw", "second.raw");
    run("tar", "-cf", "two.tar", "disk.raw", "second.raw");
    await expect(open("two.tar")).rejects.toMatchObject({ code: "choice", choices: ["disk.raw", "second.raw"] });
    await expectDisk("two.tar", withHoles, "second.raw");
    await expect(open("two.tar", "third.raw")).rejects.toMatchObject({ code: "choice" });
  });

  test("a damaged header, a cut archive, members of one name", async () => {
    run("tar", "-cf", "whole.tar", "disk.raw");
    await expect(openImage(altered("whole.tar", 130, 0x37), contextOf())).rejects.toMatchObject({
      message: expect.stringContaining("chksum"),
    });
    const cut = memorySource("cut.tar", new Uint8Array(readFileSync(at("whole.tar")).subarray(0, 3 * MIB)));
    await expect(openImage(cut, contextOf())).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("size") });
    run("cp", "whole.tar", "twice.tar");
    const last = Uint8Array.from(disk, (byte, i) => (i > MIB ? 0x5a : byte));
    writeFileSync(at("disk.raw"), last);
    run("tar", "-rf", "twice.tar", "disk.raw");
    writeFileSync(at("disk.raw"), disk);
    const note = { severity: "warning", text: expect.stringContaining("several files named “disk.raw”: the last one is read") };
    expect((await expectDisk("twice.tar", last)).notes).toMatchObject([note]);
    run("cp", "whole.tar", "beside.tar");
    run("tar", "-rf", "beside.tar", "readme.txt", "readme.txt");
    expect((await expectDisk("beside.tar", disk)).notes).toEqual([]);
  });

  test("a file that does not look like a disk is not taken for one, unless it is named", async () => {
    run("tar", "-cf", "text.tar", "readme.txt");
    const refusal = { code: "wrong-format", choices: ["readme.txt"], message: expect.stringContaining("“readme.txt” (20 bytes)") };
    await expect(open("text.tar")).rejects.toMatchObject(refusal);
    await expect(open("text.tar")).rejects.toMatchObject({ message: expect.stringContaining("(--member NAME)") });
    expect((await open("text.tar", "readme.txt")).size).toBe(512);
    run("cp", "readme.txt", "licence.txt");
    run("tar", "-cf", "texts.tar", "readme.txt", "licence.txt");
    await expect(open("texts.tar")).rejects.toMatchObject({ code: "wrong-format", choices: ["readme.txt", "licence.txt"] });
    await expect(open("texts.tar", "other.txt")).rejects.toMatchObject({ code: "choice", choices: ["readme.txt", "licence.txt"] });
    // A disk without a boot record, under a name that says nothing.
    writeFileSync(at("volume"), noise(MIB, 8));
    run("tar", "-cf", "bare.tar", "volume");
    await expectDisk("bare.tar", noise(MIB, 8));
  });
});

const zip = judge("zip");
describe.skipIf(zip === null)("zip", () => {
  test("stored members are read in place, and their sum can be compared", async () => {
    run("zip", "-q", "-0", "stored.zip", "readme.txt", "disk.raw");
    const volume = await expectDisk("stored.zip", disk);
    expect(volume.files[0]?.origin).not.toBeNull();
    await expect(volume.verify!(() => {})).resolves.toBeUndefined();
    const bytes = readFileSync(at("stored.zip"));
    const wrong = await openImage(altered("stored.zip", bytes.indexOf(Buffer.from(disk.subarray(600, 700))), 0), contextOf());
    await expect(wrong.verify!(() => {})).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("CRC-32") });
  });

  test("packed members are unpacked as they are read", async () => {
    run("zip", "-q", "-9", "packed.zip", "readme.txt", "disk.raw");
    const volume = await expectDisk("packed.zip", disk);
    expect(Buffer.from(await readVolume(volume, 3 * MIB, MIB)).equals(disk.subarray(3 * MIB, 4 * MIB))).toBe(true);
    expect(Buffer.from(await readVolume(volume, 0, MIB)).equals(disk.subarray(0, MIB))).toBe(true);
  });

  test("encrypted, cut and damaged archives are refused", async () => {
    run("zip", "-q", "-P", "secret", "-0", "locked.zip", "disk.raw");
    await expect(open("locked.zip")).rejects.toMatchObject({ message: expect.stringContaining("encrypted") });
    const whole = new Uint8Array(readFileSync(at("packed.zip")));
    for (let cut = 4; cut < whole.length; cut += 9973)
      await expect(openImage(memorySource("cut.zip", whole.subarray(0, cut)), contextOf())).rejects.toMatchObject({ name: "DiskError" });
  });
});
