import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import { noise } from "../testing/disks.ts";
import { openFileSource } from "../testing/file-source.ts";
import { contextOf } from "../testing/image-harness.ts";
import { generatedFolder, readTable } from "../testing/judges.ts";
import { DISK_FORMATS, detect, formatById, OTHER_NAMES, openImage, targetById } from "./registry.ts";

const open = (name: string, bytes: Uint8Array, formatId?: string) => openImage(memorySource(name, bytes), contextOf(), formatId);
/** A boot record with one Linux partition. */
function partitioned(): Uint8Array {
  const disk = new Uint8Array(1 << 20);
  disk.set([0x80, 0, 0, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 0, 4, 0, 0], 446);
  disk.set([0x55, 0xaa], 510);
  return disk;
}

test("raw is last and takes what nobody else wants", () => {
  expect(DISK_FORMATS.at(-1)?.id).toBe("raw");
  expect(detect(new Uint8Array(0), new Uint8Array(0)).id).toBe("raw");
  expect(new Set(DISK_FORMATS.map(({ id }) => id)).size).toBe(DISK_FORMATS.length);
});

test("bytes of no known kind are raw under a name that promises nothing else", async () => {
  expect((await open("disk.img", noise(70_000, 1))).format).toBe("raw");
  expect(await open("disk", new Uint8Array(512))).toMatchObject({ format: "raw", notes: [] });
  expect(await open("disk.001", new Uint8Array(512))).toMatchObject({ format: "raw", notes: [{ severity: "warning" }] });
});

test.each(DISK_FORMATS.filter(({ id }) => id !== "raw").flatMap(({ extensions }) => extensions))(
  "a .%s without its header is refused",
  async (extension) => {
    const name = `Disk.${extension.toUpperCase()}`;
    await expect(open(name, noise(70_000, 1))).rejects.toMatchObject({ code: "wrong-format", message: expect.stringContaining("-f raw") });
    await expect(open(name, new Uint8Array(0))).rejects.toMatchObject({ code: "corrupt" });
    expect((await open(name, noise(70_000, 1), "raw")).format).toBe("raw");
    expect(await open(name, partitioned())).toMatchObject({ format: "raw", notes: [{ severity: "warning" }] });
  },
);

test("a kind of file that is not read is named, whatever the file is called", async () => {
  const archive = Uint8Array.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4);
  await expect(open("disk.img", archive)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("7z") });
  expect((await open("disk.img", archive, "raw")).size).toBe(512);
});

test("a bare disk that ends before its GPT says so, also when it is read as raw by order", async () => {
  const disk = new Uint8Array(1 << 20);
  const header = new DataView(disk.buffer, 512, 512);
  header.setBigUint64(0, 0x5452415020494645n, true);
  header.setUint32(12, 92, true);
  header.setBigUint64(24, 1n, true);
  header.setBigUint64(32, 4095n, true);
  header.setUint32(16, contextOf().compute.crc32(disk.subarray(512, 604)), true);
  const note = { severity: "warning", text: expect.stringContaining(`for a disk of ${2 << 20} bytes, but this one has ${1 << 20}`) };
  expect((await open("disk.img", disk)).notes).toMatchObject([note]);
  expect((await open("disk.img", disk, "raw")).notes).toMatchObject([note]);
  const whole = new Uint8Array(2 << 20);
  whole.set(disk);
  expect((await open("disk.img", whole)).notes).toEqual([]);
});

test("other names lead to formats, and none of them hides one", () => {
  for (const [name, id] of Object.entries(OTHER_NAMES)) expect([name, formatById(name).id]).toEqual([name, id]);
  expect(DISK_FORMATS.filter(({ id }) => id in OTHER_NAMES)).toEqual([]);
  expect(targetById("vhd").id).toBe("vpc");
  expect(() => targetById("zip")).toThrow("can be read but not written");
});

test("an unknown format id is a usage error; a known one is taken at its word", async () => {
  await expect(open("a", new Uint8Array(512), "vmdkk")).rejects.toMatchObject({ code: "usage" });
  await expect(open("a", new Uint8Array(512), "vdi")).rejects.toMatchObject({ code: "corrupt" });
});

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    const rows = malformed === null ? [] : readTable(readFileSync(join(malformed, "manifest.tsv"), "utf8"));
    const wanted = rows.filter((row) => existsSync(join(malformed as string, row["name"] as string)) && row["format"] !== "raw");
    test("no truncated or damaged image is taken for a raw disk", async () => {
      const taken: string[] = [];
      for (const { name, expect: expectation } of wanted) {
        if (expectation?.startsWith("decode")) continue;
        using file = openFileSource(join(malformed as string, name as string));
        const volume = await openImage(file, contextOf()).catch((error: unknown) => {
          if (!(error instanceof DiskError)) throw new Error(`${name}: ${error}`, { cause: error });
          return null;
        });
        if (volume?.format === "raw" && volume.wrapping === undefined) taken.push(name as string);
      }
      expect(taken).toEqual([]);
    });
  });
