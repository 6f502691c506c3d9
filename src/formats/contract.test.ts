import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, DiskFormat, Volume } from "../core/model.ts";
import { arbitraryDisk, diskBytes, noise, same, type TestDisk } from "../testing/disks.ts";
import { openFileSource } from "../testing/file-source.ts";
import {
  contextOf,
  openWritten,
  optionVariants,
  readVolume,
  specFor,
  testCompute,
  type WrittenImage,
  writeImage,
} from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import type { SparseFile } from "../testing/sparse-file.ts";
import { DISK_FORMATS, detect, formatById, formatContext } from "./registry.ts";

const MIB = 1 << 20;
const folder = mkdtempSync(join(tmpdir(), "contract-"));
afterAll(() => rmSync(folder, { recursive: true }));
const qemu = judge("qemu-img");
/** Altered images per variant, the same ones each time; more and others are tried with CONTRACT_RUNS and CONTRACT_SEED. */
const RUNS = Number(process.env["CONTRACT_RUNS"] ?? 60);
const SEED = Number(process.env["CONTRACT_SEED"] ?? 1);

type Options = Readonly<Record<string, string>>;
const writable = DISK_FORMATS.flatMap((format) => (format.target === undefined ? [] : [{ format, target: format.target }]));
const all = writable.flatMap(({ format, target }) =>
  optionVariants(target).map((options) => ({ format, target, options, title: [format.id, ...Object.entries(options).flat()].join(" ") })),
);
type Row = (typeof all)[number];

const write = ({ format, target }: Pick<Row, "format" | "target">, disk: TestDisk, options: Options) =>
  writeImage(target.create(specFor(target, disk.size, `disk.${format.extensions[0]}`, options), testCompute()), disk);
/** Formats that qemu-img has a driver for. */
const QEMU_FORMATS = ["raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx", "parallels", "qed", "dmg"];
/** Format id of the wrapping that an image of these options lies in; null: none. */
const wrappingOf = ({ target }: Pick<Row, "target">, options: Options) =>
  target.readsAs?.(specFor(target, 0, "disk", options).options) ?? null;
const isForQemu = (row: Row) => QEMU_FORMATS.includes(row.format.id) && wrappingOf(row, row.options) === null;
/** Opens what `write` made, through its wrapping if it lies in one. */
function reopen(row: Row, image: WrittenImage): Promise<Volume> {
  const wrapping = wrappingOf(row, row.options);
  if (wrapping === null) return openWritten(row.format, image);
  const context = formatContext({ ...contextOf(image.files), innerFormat: row.format.id, anySize: true });
  return formatById(wrapping).open(image.files[0] as SparseFile, context);
}
/** Options that contradict each other, or a disk that the format cannot hold, are told as a blocker and not tried. */
const isBlocked = ({ target }: Row, disk: TestDisk, options: Options) =>
  target.losses(specFor(target, disk.size, "disk", options)).some(({ severity }) => severity === "blocker");

/** A fixed disk with what units can be: compressible, noise, one sector, the very end. */
const SAMPLE: TestDisk = {
  size: 5 * MIB - 512,
  pieces: [
    { start: 0, bytes: new Uint8Array(70_000 - 368).fill(0x5a) },
    { start: MIB + 512, bytes: noise(200 * 512, 7) },
    { start: 3 * MIB, bytes: new TextEncoder().encode("Spindle ".repeat(40_000)).subarray(0, 600 * 512) },
    { start: 5 * MIB - 1024, bytes: noise(512, 9) },
  ],
};

/** Rows that cannot hold the sample (sectors of 4096 bytes) are tested in the format's folder. */
const rows = all.filter((row) => !isBlocked(row, SAMPLE, row.options));

describe.each(rows)("$title", (row) => {
  const { format, options } = row;
  test("read(write(disk)) is the disk, and the writer's sizes are the files'", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryDisk(3 * MIB), async (disk) => {
        const image = await write(row, disk, options);
        const file = image.files[0] as SparseFile;
        const length = Math.min(65536, file.size);
        expect(detect(await file.read(0, length), await file.read(file.size - length, length)).id).toBe(
          wrappingOf(row, options) ?? format.id,
        );
        const volume = await reopen(row, image);
        expect(volume.size).toBe(disk.size);
        expect(volume.unsupported).toEqual([]);
        expect(same(await readVolume(volume), diskBytes(disk))).toBe(true);
        expect(image.files.map(({ size }) => size)).toEqual(image.sizes);
      }),
      { numRuns: 12 },
    );
  });

  test("the same disk gives the same files, and our own check finds no fault", async () => {
    const [first, second] = [await write(row, SAMPLE, options), await write(row, SAMPLE, options)];
    expect(second.sizes).toEqual(first.sizes);
    for (const [i, file] of first.files.entries())
      expect(same(await file.read(0, file.size), await (second.files[i] as SparseFile).read(0, file.size))).toBe(true);
    const report = await format.check?.(first.files[0] as SparseFile, contextOf(first.files));
    if (report !== undefined) expect(report).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
  });

  const judged = isForQemu(row) ? test.skipIf(qemu === null) : null;
  judged?.("qemu-img finds the same disk and no fault", async () => {
    const place = mkdtempSync(join(folder, "qemu-"));
    const image = await write(row, SAMPLE, options);
    const path = image.save(place);
    for (const [i, file] of image.files.entries()) expect(statSync(join(place, file.name)).size).toBe(image.sizes[i]);
    writeFileSync(join(place, "expected"), diskBytes(SAMPLE));
    expect(qemu!.must(["compare", "-f", format.id, "-F", "raw", path, join(place, "expected")])).toContain("identical");
    const info = JSON.parse(qemu!.must(["info", "--output=json", "-f", format.id, path])) as { "virtual-size": number };
    expect(info["virtual-size"]).toBe(SAMPLE.size);
    const check = qemu!.run(["check", "-f", format.id, path]);
    if (!check.stderr.includes("does not support checks")) expect(check).toMatchObject({ status: 0 });
    rmSync(place, { recursive: true });
  });

  const args = row.target.qemuArguments(specFor(row.target, SAMPLE.size, "disk", options));
  if (args !== null)
    test.skipIf(qemu === null)("what qemu-img writes with the same options reads the same", async () => {
      const place = mkdtempSync(join(folder, "qemu-"));
      writeFileSync(join(place, "in.raw"), diskBytes(SAMPLE));
      const name = `out.${format.extensions[0]}`;
      qemu!.must(["convert", "-f", "raw", ...args, join(place, "in.raw"), join(place, name)]);
      const files = readdirSync(place).map((entry) => openFileSource(join(place, entry)));
      const main = files.find((file) => file.name === name) as ByteSource;
      const volume = await format.open(main, contextOf(files));
      expect(same(await readVolume(volume), diskBytes(SAMPLE))).toBe(true);
      for (const file of files) file.close();
      rmSync(place, { recursive: true });
    });

  test("an empty disk and a far block of a large one", async () => {
    const empty = await reopen(row, await write(row, { size: MIB, pieces: [] }, options));
    expect((await readVolume(empty)).every((byte) => byte === 0)).toBe(true);
    // What lies in a stream can only be reached by unpacking all that is ahead of it.
    const size = wrappingOf(row, options) === null ? 9 * 2 ** 30 : 200 * MIB;
    const far: TestDisk = { size, pieces: [{ start: size - 4096, bytes: noise(4096, 5) }] };
    const volume = await reopen(row, await write(row, far, options));
    expect(same(await readVolume(volume, size - MIB, MIB), diskBytes(far, size - MIB, MIB))).toBe(true);
    expect((await readVolume(volume, Math.floor(size / 2 / MIB) * MIB, MIB)).every((byte) => byte === 0)).toBe(true);
  });
});

/** The image's first file with some bytes replaced; remembers the longest read. */
function altered(file: SparseFile, edits: readonly (readonly [at: number, value: number])[]): ByteSource & { longest: number } {
  return {
    name: file.name,
    size: file.size,
    origin: null,
    longest: 0,
    async read(at, length) {
      this.longest = Math.max(this.longest, length);
      const bytes = await file.read(at, length);
      for (const [place, value] of edits) if (place >= at && place < at + length) bytes[place - at] = value;
      return bytes;
    },
  };
}

/** Bytes of the first file that no extent refers to: headers and tables. */
async function metadataOf(image: WrittenImage, volume: Volume): Promise<number[]> {
  const file = image.files[0] as SparseFile;
  const used: { at: number; end: number }[] = [];
  for (let at = 0; at < volume.size; )
    for (const extent of await volume.extents(at, volume.size - at)) {
      at = extent.start + extent.length;
      if (extent.kind === "raw" && extent.file === 0) used.push({ at: extent.at, end: extent.at + extent.length });
      if (extent.kind === "packed" && extent.file === 0) used.push({ at: extent.at, end: extent.at + extent.packed });
    }
  const pages = [...file.dataRanges(0, file.size)];
  const places: number[] = [];
  for (const { start, length } of pages)
    for (let at = start; at < start + length; at++) if (!used.some((range) => at >= range.at && at < range.end)) places.push(at);
  const bytes = await file.read(0, file.size);
  const edge = (at: number) => at < 4096 || at >= file.size - 4096;
  return places.filter((at) => edge(at) || bytes[at] !== 0);
}

/** What comes of a damaged image: the DiskError, or the bytes of the sample's range (as far as the volume goes). */
async function outcome(format: DiskFormat, file: ByteSource, image: WrittenImage) {
  const began = performance.now();
  const work = async () => {
    const volume = await format.open(file, contextOf([file, ...image.files.slice(1)]));
    const bytes = await readVolume(volume, 0, Math.min(volume.size, SAMPLE.size));
    if (volume.size > SAMPLE.size) await readVolume(volume, volume.size - 512, 512);
    return { bytes, notes: volume.notes, size: volume.size };
  };
  const result = await work().catch((error: unknown) => {
    if (error instanceof DiskError) return error;
    throw error;
  });
  expect(performance.now() - began).toBeLessThan(2000);
  return result;
}
const expected = diskBytes(SAMPLE);
/**
 * Right as far as it goes, or the damage is told: by an error, a warning, or a finding of the check. The last counts because
 * formats without checksums can be altered into another well-formed image (a table moved to zeros, an entry cleared).
 */
async function isHonest(result: Awaited<ReturnType<typeof outcome>>, format: DiskFormat, file: ByteSource, image: WrittenImage) {
  if (result instanceof DiskError || result.notes.some(({ severity }) => severity === "warning")) return true;
  if (same(result.bytes, expected.subarray(0, result.bytes.length))) return true;
  const report = await format.check?.(file, contextOf([file, ...image.files.slice(1)])).catch((error: unknown) => {
    if (error instanceof DiskError) return error;
    throw error;
  });
  return report instanceof DiskError || (report?.findings.length ?? 0) > 0;
}

/** qcow2 has flags that no checksum covers: qemu-img, whose check counts every cluster, finds no fault and reads the same bytes. */
function isAnotherImage(format: DiskFormat, image: WrittenImage, at: number, value: number, bytes: Uint8Array): boolean {
  if (format.id !== "qcow2" || qemu === null) return false;
  const place = mkdtempSync(join(folder, "other-"));
  const file = (image.files[0] as SparseFile).copy();
  file.write(at, Uint8Array.of(value));
  file.save(join(place, file.name));
  const isSound = qemu.run(["check", "-f", format.id, join(place, file.name)]).status === 0;
  writeFileSync(join(place, "expected"), bytes);
  const compare = ["compare", "-f", format.id, "-F", "raw", join(place, file.name), join(place, "expected")];
  return isSound && qemu.run(compare).status === 0;
}

describe.each(rows.filter(({ format }) => format.id !== "raw"))("$title, damaged", (row) => {
  const { format, options } = row;
  test("altered headers and tables give a DiskError or the right bytes", async () => {
    const image = await write(row, SAMPLE, options);
    const file = image.files[0] as SparseFile;
    const places = await metadataOf(image, await openWritten(format, image));
    const original = await file.read(0, file.size);
    const place = fc.oneof(fc.nat(places.length - 1), fc.nat(Math.min(255, places.length - 1)));
    const change = fc.oneof(
      fc.nat(7).map((bit) => (byte: number) => byte ^ (1 << bit)),
      fc.constantFrom(0, 1, 0x7f, 0x80, 0xff).map((value) => () => value),
    );
    await fc.assert(
      fc.asyncProperty(place, change, async (index, edit) => {
        const at = places[index] as number;
        const value = edit(original[at] as number);
        const source = altered(file, [[at, value]]);
        const head = await source.read(0, Math.min(65536, source.size));
        format.probe(head, head);
        const result = await outcome(format, source, image);
        expect(source.longest).toBeLessThanOrEqual(64 * MIB);
        if (await isHonest(result, format, source, image)) return;
        if (!(result instanceof DiskError) && isAnotherImage(format, image, at, value, result.bytes)) return;
        throw new Error(`byte ${at} was ${original[at]}, is ${value}: wrong bytes without a word`);
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test("a file that was cut off never gives wrong bytes without a word", async () => {
    const image = await write(row, SAMPLE, options);
    const file = image.files[0] as SparseFile;
    for (let i = 0; i < 20; i++) {
      const cut = file.copy();
      cut.truncate(i < 16 ? Math.floor((file.size * i) / 16) : file.size - [1, 511, 512, 65536][i - 16]!);
      if (cut.size < 0 || cut.size >= file.size) continue;
      const result = await outcome(format, cut, image);
      if (!(await isHonest(result, format, cut, image)))
        throw new Error(`cut to ${cut.size} of ${file.size} bytes: wrong bytes without a word`);
    }
  });
});
