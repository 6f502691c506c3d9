import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { checked, contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { formatById, openImage } from "../registry.ts";

const folder = mkdtempSync(join(tmpdir(), "ova-"));
afterAll(() => rmSync(folder, { recursive: true }));
const MIB = 1 << 20;
const DISK: TestDisk = {
  size: 40 * MIB + 512,
  pieces: [
    { start: 0, bytes: noise(100_000, 1) },
    { start: 33 * MIB, bytes: new TextEncoder().encode("spindle ".repeat(30_000)) },
  ],
};
const target = formatById("ova").target!;
const write = (disk: TestDisk, name = "my vm.ova") => writeImage(target.create(specFor(target, disk.size, name), testCompute()), disk);
const open = (bytes: Uint8Array, member?: string) => openImage(memorySource("a.ova", bytes), { ...contextOf(), member });

describe("writing", () => {
  test("tar, manifest, descriptor and disk are right", async () => {
    const path = (await write(DISK)).save(folder);
    const place = join(folder, "out");
    mkdirSync(place);
    execFileSync("tar", ["-xf", path, "-C", place]);
    const names = execFileSync("tar", ["-tf", path], { encoding: "utf8" }).trim().split("\n");
    expect(names).toEqual(["my_vm.ovf", "my_vm.mf", "my_vm-disk1.vmdk"]);
    const sum = (name: string) =>
      createHash("sha256")
        .update(readFileSync(join(place, name)))
        .digest("hex");
    expect(readFileSync(join(place, "my_vm.mf"), "utf8")).toBe(
      `SHA256(my_vm.ovf)= ${sum("my_vm.ovf")}\nSHA256(my_vm-disk1.vmdk)= ${sum("my_vm-disk1.vmdk")}\n`,
    );
    const ovf = readFileSync(join(place, "my_vm.ovf"), "utf8");
    expect(ovf).toContain(`ovf:size="${readFileSync(join(place, "my_vm-disk1.vmdk")).length}"`);
    expect(ovf).toContain(`ovf:capacity="${DISK.size}"`);
  });

  /** The path of the disk, unpacked by tar. */
  async function unpackedDisk(): Promise<string> {
    const place = mkdtempSync(join(folder, "disk-"));
    execFileSync("tar", ["-xf", (await write(DISK)).save(place), "-C", place]);
    return join(place, "my_vm-disk1.vmdk");
  }
  const sevenZip = judge("7zz");
  test.skipIf(sevenZip === null)("7-Zip reads the disk", async () => {
    sevenZip!.must(["t", await unpackedDisk()]);
  });
  const qemu = judge("qemu-img");
  test.skipIf(qemu === null)("qemu-img finds the same disk", async () => {
    const [disk, raw] = [await unpackedDisk(), join(folder, "disk.raw")];
    writeFileSync(raw, diskBytes(DISK));
    expect(qemu!.must(["compare", "-F", "raw", disk, raw])).toContain("identical");
  });

  test("reads back, hashes and all, and the same disk gives the same bytes", async () => {
    const [first, second] = [await write(DISK), await write(DISK)];
    const bytes = await first.files[0]!.read(0, first.files[0]!.size);
    expect(Buffer.from(bytes).equals(await second.files[0]!.read(0, second.files[0]!.size))).toBe(true);
    const volume = checked(await open(bytes));
    expect(volume).toMatchObject({ format: "vmdk", wrapping: ["OVA"], size: DISK.size, notes: [] });
    expect(Buffer.from(await readVolume(volume)).equals(diskBytes(DISK))).toBe(true);
    await volume.verify!(() => {});
    const at = Buffer.from(bytes).indexOf("SHA256(my_vm-disk1.vmdk)= ") + 26;
    bytes[at] = bytes[at] === 0x30 ? 0x31 : 0x30;
    await expect((await open(bytes)).verify!(() => {})).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringContaining("manifest"),
    });
  });
});

interface Parts {
  readonly href?: string;
  readonly fileRef?: string;
  readonly capacity?: string;
  readonly before?: string;
  readonly link?: boolean;
  readonly second?: boolean;
  /** Packed once more, at the end, perhaps under another name. */
  readonly again?: readonly (readonly [file: string, name: string])[];
}
/** An appliance made with tar around a raw disk. */
function build({ href = "disk.raw", fileRef = "file1", capacity = String(MIB), before = "", link, second, again = [] }: Parts): Uint8Array {
  const place = mkdtempSync(join(folder, "in-"));
  const more =
    second === true
      ? [`<File ovf:href="disk2.raw" ovf:id="file2"/>`, `<Disk ovf:diskId="d2" ovf:fileRef="file2" ovf:capacity="1"/>`]
      : ["", ""];
  writeFileSync(
    join(place, "a.ovf"),
    `<?xml version="1.0"?>${before}<Envelope xmlns:ovf="o"><References><File ovf:href="${href}" ovf:id="file1"/>${more[0]}</References><DiskSection><Disk ovf:diskId="d1" ovf:fileRef="${fileRef}" ovf:capacity="${capacity}"/>${more[1]}</DiskSection></Envelope>`,
  );
  if (link === true) symlinkSync("/etc/passwd", join(place, "disk.raw"));
  else writeFileSync(join(place, "disk.raw"), diskBytes({ size: MIB, pieces: [{ start: 4096, bytes: noise(9999, 1) }] }));
  writeFileSync(join(place, "disk2.raw"), new Uint8Array(512));
  writeFileSync(join(place, "a.mf"), "");
  execFileSync("tar", ["-cf", "a.ova", "a.ovf", "a.mf", "disk.raw", "disk2.raw"], { cwd: place });
  for (const [name, as] of again) execFileSync("tar", ["-rf", "a.ova", `--transform=s/.*/${as}/`, name], { cwd: place });
  return new Uint8Array(readFileSync(join(place, "a.ova")));
}

describe("reading", () => {
  test("a disk of any format; what the descriptor states otherwise is told", async () => {
    expect(await open(build({}))).toMatchObject({ format: "raw", size: MIB, notes: [] });
    expect(await open(build({ capacity: "1234" }))).toMatchObject({ size: MIB, notes: [{ severity: "warning" }] });
  });

  test("several disks are a choice", async () => {
    const two = build({ second: true });
    await expect(open(two)).rejects.toMatchObject({ code: "choice", choices: ["disk.raw", "disk2.raw"] });
    expect(await open(two, "disk2.raw")).toMatchObject({ size: 512 });
    for (const bytes of [two, build({})]) await expect(open(bytes, "disk3.raw")).rejects.toMatchObject({ code: "choice" });
  });

  test("what macOS packs beside a descriptor is none", async () => {
    expect(await open(build({ again: [["disk2.raw", "._a.ovf"]] }))).toMatchObject({ format: "raw", size: MIB });
  });

  test.each([
    ["the disk", "disk2.raw", "disk.raw", "2 files named “disk.raw”"],
    ["the descriptor", "a.ovf", "a.ovf", "2 files named “a.ovf”"],
    ["the manifest", "a.mf", "a.mf", "2 files named “a.mf”"],
    ["a second descriptor", "a.ovf", "b.OVF", "2 OVF descriptors, and an appliance has one: a.ovf, b.OVF"],
  ])("%s twice is refused by name", async (_, file, as, message) => {
    await expect(open(build({ again: [[file, as]] }))).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringContaining(message),
    });
  });

  test("a file that has no part in it may be there twice", async () => {
    expect(await open(build({ again: [["a.mf", "disk2.raw"]] }))).toMatchObject({ format: "raw", size: MIB });
  });

  test.each<[string, Parts, string]>([
    ["a path", { href: "../../etc/passwd" }, "missing-file"],
    ["an absolute path", { href: "/etc/passwd" }, "missing-file"],
    ["an address", { href: "http://example.com/disk.vmdk" }, "missing-file"],
    ["a link", { link: true }, "missing-file"],
    ["a file that is not there", { href: "other.vmdk" }, "missing-file"],
    ["a negative capacity", { capacity: "-1" }, "corrupt"],
    ["an absurd capacity", { capacity: "1e30" }, "corrupt"],
    ["an unknown file id", { fileRef: "file9" }, "corrupt"],
    ["an external entity", { before: `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>` }, "corrupt"],
  ])("%s is refused", async (_, parts, code) => {
    await expect(open(build(parts))).rejects.toMatchObject({ code });
  });
});
