import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { checked, contextOf, openWritten, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { xva } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "xva-"));
afterAll(() => rmSync(folder, { recursive: true }));
const MIB = 1 << 20;
const DISK: TestDisk = {
  size: 7 * MIB + 512 * 5,
  pieces: [
    { start: 3 * MIB - 70_000, bytes: noise(140_000, 1) },
    { start: 7 * MIB + 1024, bytes: noise(512, 2) },
  ],
};

const write = (disk: TestDisk) => writeImage(xva.target!.create(specFor(xva.target!, disk.size, "vm.xva"), testCompute()), disk);

describe("writing", () => {
  test.each([DISK, { size: MIB, pieces: [] }, { size: 512, pieces: [] }, { size: 3 * MIB, pieces: [{ start: 0, bytes: noise(99, 1) }] }])(
    "a disk of $size bytes reads back, sums and all",
    async (disk) => {
      const volume = checked(await openWritten(xva, await write(disk)));
      expect(volume.size).toBe(disk.size);
      expect(Buffer.from(await readVolume(volume)).equals(diskBytes(disk))).toBe(true);
      await volume.verify!(() => {});
    },
  );

  test("tar lists the chunks, and they hold the disk", async () => {
    const path = (await write(DISK)).save(folder);
    const place = join(folder, "out");
    mkdirSync(place);
    execFileSync("tar", ["--force-local", "-xf", path, "-C", place]);
    const made = Buffer.alloc(DISK.size);
    const names = execFileSync("tar", ["--force-local", "-tf", path], { encoding: "utf8" }).trim().split("\n");
    expect(names[0]).toBe("ova.xml");
    const chunks = names.filter((name) => /\/\d+$/.test(name));
    expect(chunks.map((name) => Number(name.slice(-8)))).toEqual([0, 2, 3, 7]);
    for (const name of chunks) {
      const bytes = readFileSync(join(place, name));
      bytes.copy(made, Number(name.slice(-8)) * MIB);
      expect(readFileSync(join(place, `${name}.checksum`), "utf8")).toBe(createHash("sha1").update(bytes).digest("hex"));
    }
    expect(made.equals(diskBytes(DISK))).toBe(true);
  });
});

/** An export made with tar, of ova.xml and of the disks' chunks. */
function build(
  disks: Readonly<Record<string, { readonly size: number | string; readonly chunks: Readonly<Record<number, Uint8Array>> }>>,
): Uint8Array {
  const place = mkdtempSync(join(folder, "in-"));
  const objects = Object.entries(disks).map(
    ([id, { size }]) =>
      `<value><struct><member><name>class</name><value>VDI</value></member><member><name>id</name><value>${id}</value></member>` +
      `<member><name>snapshot</name><value><struct><member><name>virtual_size</name><value>${size}</value></member></struct></value></member></struct></value>`,
  );
  writeFileSync(
    join(place, "ova.xml"),
    `<?xml version="1.0"?><value><struct><member><name>objects</name><value><array><data>${objects.join("")}</data></array></value></member></struct></value>`,
  );
  const names = ["ova.xml"];
  for (const [id, { chunks }] of Object.entries(disks)) {
    mkdirSync(join(place, id));
    for (const [number, bytes] of Object.entries(chunks)) {
      const name = `${id}/${number.padStart(8, "0")}`;
      writeFileSync(join(place, name), bytes);
      names.push(name);
    }
  }
  execFileSync("tar", ["--force-local", "--format=ustar", "-cf", join(place, "vm.xva"), ...names], { cwd: place });
  return new Uint8Array(readFileSync(join(place, "vm.xva")));
}
const open = (bytes: Uint8Array, member?: string) => xva.open(memorySource("vm.xva", bytes), { ...contextOf(), member });

describe("reading", () => {
  const [a, b] = [noise(MIB, 1), noise(MIB, 2)];

  test("disks are chosen by their reference", async () => {
    const bytes = build({ "Ref:1": { size: MIB, chunks: { 0: a } }, "Ref:7": { size: 2 * MIB, chunks: { 0: new Uint8Array(MIB), 1: b } } });
    await expect(open(bytes)).rejects.toMatchObject({ code: "choice", choices: ["Ref:1", "Ref:7"] });
    await expect(open(bytes, "Ref:2")).rejects.toMatchObject({ code: "choice", message: expect.stringContaining("Ref:2") });
    await expect(open(build({ "Ref:1": { size: MIB, chunks: { 0: a } } }), "Ref:2")).rejects.toMatchObject({ code: "choice" });
    expect(Buffer.from(await readVolume(await open(bytes, "Ref:1"))).equals(a)).toBe(true);
    expect(Buffer.from(await readVolume(await open(bytes, "Ref:7"), MIB, MIB)).equals(b)).toBe(true);
  });

  test.each([
    ["no chunk", { size: MIB, chunks: {} }, "truncated"],
    ["no last chunk", { size: 3 * MIB, chunks: { 0: a, 1: b } }, "truncated"],
    ["a chunk past the end", { size: MIB, chunks: { 0: a, 1: b } }, "past virtual_size"],
    ["a short chunk", { size: 2 * MIB, chunks: { 0: a.subarray(5), 1: b } }, "shorter"],
    ["a short last chunk", { size: 2 * MIB, chunks: { 0: a, 1: b.subarray(5) } }, "has only"],
    ["a negative size", { size: "-1", chunks: { 0: a } }, "virtual_size"],
    ["a huge size", { size: "99999999999999999999", chunks: { 0: a } }, "virtual_size"],
  ])("%s is refused", async (_, disk, message) => {
    await expect(open(build({ "Ref:1": disk }))).rejects.toMatchObject({ name: "DiskError", message: expect.stringContaining(message) });
  });

  test("a damaged chunk does not give its sum", async () => {
    const image = await write(DISK);
    const file = image.files[0]!;
    const bytes = await file.read(0, file.size);
    const at = bytes.length - 20_000;
    const place = Buffer.from(bytes).indexOf(Buffer.from(noise(140_000, 1).subarray(80_000, 80_064)));
    expect(place).toBeLessThan(at);
    bytes[place] = (bytes[place] as number) ^ 1;
    const volume = await open(bytes);
    await expect(volume.verify!(() => {})).rejects.toMatchObject({ code: "corrupt", guest: { start: 3 * MIB } });
  });
});
