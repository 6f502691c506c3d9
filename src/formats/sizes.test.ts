import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { diskBytes, noise, type TestDisk } from "../testing/disks.ts";
import { openWritten, readVolume, specFor, testCompute, writeImage } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { formatById } from "./registry.ts";

const TIB = 2 ** 40;
const MIB = 1 << 20;
const qemu = judge("qemu-img");
const folder = mkdtempSync(join(tmpdir(), "sizes-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** qemu-img's formats, each with options that make another layout. */
const KINDS: readonly (readonly [id: string, options: Readonly<Record<string, string>>])[] = [
  ["qcow2", {}],
  ["qcow2", { cluster_size: "2M", extended_l2: "on" }],
  ["vmdk", {}],
  ["vmdk", { subformat: "streamOptimized" }],
  ["vmdk", { subformat: "monolithicFlat" }],
  ["vmdk", { subformat: "twoGbMaxExtentSparse" }],
  ["vdi", {}],
  ["vpc", {}],
  ["vpc", { subformat: "fixed" }],
  ["parallels", {}],
  ["qed", {}],
  ["dmg", {}],
];
/** One sector, a sector more than a block of 2 MiB, no whole sectors; past 2^41 (where 32-bit sector numbers end) and more. */
const SIZES = [512, 2 * MIB + 512, 2 * MIB + 1000, 2 * TIB + 512, 9 * TIB];

/** What the format cannot hold, or the writer does not make: told as a blocker. */
function isRefused(id: string, { subformat }: Readonly<Record<string, string>>, size: number): boolean {
  if (id === "dmg") return size % 512 !== 0;
  return (id === "vpc" || subformat === "twoGbMaxExtentSparse") && size > 2 * TIB;
}

/** A little at both ends, and in the middle. */
function ends(size: number): TestDisk {
  const length = Math.min(512, size);
  const places = new Set([0, Math.floor(size / 2 / 512) * 512, Math.floor((size - 1) / 512) * 512]);
  return {
    size,
    pieces: [...places].map((start, i) => ({ start, bytes: noise(Math.min(length, size - start), i + 1) })),
  };
}

describe.each(KINDS)("%s %o", (id, options) => {
  const format = formatById(id);
  const target = format.target!;
  const specOf = (size: number) => specFor(target, size, `d${size}.${format.extensions[0]}`, options);
  const whole = (size: number) => Math.ceil(size / 512) * 512;
  const held = SIZES.filter((size) => !isRefused(id, options, size));
  test.each(SIZES)("a disk of %d bytes is held or refused", (size) => {
    const losses = target.losses(specOf(size));
    expect(losses.some(({ severity }) => severity === "blocker")).toBe(isRefused(id, options, size));
    if (held.includes(size)) expect(losses.some(({ what }) => what.includes("grows"))).toBe(whole(size) !== size);
  });
  test.each(held)("a disk of %d bytes", async (size) => {
    const disk = ends(size);
    const image = await writeImage(target.create(specOf(size), testCompute()), disk);
    const volume = await openWritten(format, image);
    expect(volume.size).toBe(whole(size));
    expect(volume.notes.filter(({ severity }) => severity === "warning")).toEqual([]);
    for (const { start } of disk.pieces) expect(await readVolume(volume, start, 512)).toEqual(diskBytes(disk, start, 512));
  });
  test.skipIf(qemu === null).each(held)("a disk of %d bytes: qemu-img reads the same", async (size) => {
    const disk = ends(size);
    const image = await writeImage(target.create(specOf(size), testCompute()), disk);
    const path = image.save(folder);
    const info = JSON.parse(qemu!.must(["info", "--output=json", "-f", id, path])) as { "virtual-size": number };
    expect(info["virtual-size"]).toBe(whole(size));
    for (const { start } of disk.pieces) {
      const out = join(folder, "sector");
      qemu!.must(["dd", "-f", id, "-O", "raw", "bs=512", `skip=${start / 512}`, `count=${start / 512 + 1}`, `if=${path}`, `of=${out}`]);
      expect(readFileSync(out).subarray(0, 512)).toEqual(Buffer.from(diskBytes(disk, start, 512)));
      rmSync(out);
    }
    for (const file of image.files) rmSync(join(folder, file.name));
  });
});
