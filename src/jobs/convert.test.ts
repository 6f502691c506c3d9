import fc from "fast-check";
import { blake3 } from "hash-wasm";
import { describe, expect, test } from "vitest";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, Volume } from "../core/model.ts";
import type { TargetFormat } from "../core/target.ts";
import { DISK_FORMATS } from "../formats/registry.ts";
import { arbitraryDisk, diskBytes, noise, type TestDisk } from "../testing/disks.ts";
import { contextOf, optionVariants, specFor } from "../testing/image-harness.ts";
import { localPool } from "../testing/local-pool.ts";
import { type MemorySink, memorySink } from "../testing/memory-sink.ts";
import { SparseFile } from "../testing/sparse-file.ts";
import { openDisk } from "./chain.ts";
import { compareDisks } from "./compare.ts";
import { type ConvertRequest, planConvert, runConvert } from "./convert.ts";
import { createDisk, type Disk } from "./disk.ts";

const never = new AbortController().signal;
const quiet = () => {};

function rawSource({ size, pieces }: TestDisk): SparseFile {
  const file = new SparseFile("disk.raw");
  for (const { start, bytes } of pieces) file.write(start, bytes);
  file.truncate(size);
  return file;
}
const openRaw = (disk: TestDisk): Promise<Disk> => openDisk(rawSource(disk), contextOf(), "raw");
const requestFor = (format: string, options: Readonly<Record<string, string>> = {}): ConvertRequest => ({
  format,
  options,
  name: `out.${format}`,
  salvage: false,
  verify: true,
  checkSource: true,
});

interface Run {
  readonly sink: MemorySink;
  readonly result: Awaited<ReturnType<typeof runConvert>>;
}
async function convert(
  disk: Disk,
  request: ConvertRequest,
  workers = 2,
  signal = never,
  tamper?: (files: readonly SparseFile[]) => void,
): Promise<Run> {
  const pool = localPool(workers);
  let sink: MemorySink | null = null;
  const createSink = async (names: readonly string[]) => (sink = memorySink(names, tamper));
  const plan = await planConvert(disk, request, { pool, compute: contextOf().compute }, signal);
  let result: Run["result"];
  try {
    result = await runConvert(plan, { pool, compute: contextOf().compute, createSink }, quiet, signal);
  } catch (error) {
    if (sink !== null) expect((sink as MemorySink).ended).toBe("aborted");
    throw error;
  }
  const made = sink as unknown as MemorySink;
  const total = made.files.reduce((sum, file) => sum + file.size, 0);
  expect(total).toBeLessThanOrEqual(plan.logicalBytes);
  expect(result.written).toBeLessThanOrEqual(plan.outputBytes);
  return { sink: made, result };
}
const bytesOf = async (file: ByteSource): Promise<Uint8Array> => file.read(0, file.size);

const writable = DISK_FORMATS.flatMap(({ id, target }) =>
  target === undefined ? [] : optionVariants(target).map((options) => ({ id, options, target })),
);
/** Disks that a format cannot hold are told as a blocker and not tried. */
const fits = (target: TargetFormat, size: number, options: Readonly<Record<string, string>>): boolean =>
  target.losses(specFor(target, size, "disk", options)).every(({ severity }) => severity !== "blocker");
function reopen(files: readonly ByteSource[], id: string, target: TargetFormat, options: Readonly<Record<string, string>>): Promise<Disk> {
  const wrapping = target.readsAs?.(specFor(target, 0, "disk", options).options) ?? null;
  const context = { ...contextOf(files), innerFormat: wrapping === null ? undefined : id };
  return openDisk(files[0] as ByteSource, context, wrapping ?? id);
}

describe("every writer and option", () => {
  test.each(writable)("$id $options: the same files whether they are verified or not", async ({ id, options }) => {
    const disk = { size: 4 << 20, pieces: [{ start: 1 << 20, bytes: noise(300_000, 3) }] };
    const files = await Promise.all(
      [true, false].map(async (verify) => (await convert(await openRaw(disk), { ...requestFor(id, options), verify })).sink.files),
    );
    const [verified, other] = await Promise.all(files.map((list) => Promise.all(list.map(bytesOf))));
    expect(verified?.map((file, i) => Buffer.compare(file, other?.[i] as Uint8Array))).toEqual(verified?.map(() => 0));
  });
  test.each(writable)("$id $options: converts, verifies, hashes; back to raw it is the same disk", async ({ id, options, target }) => {
    await fc.assert(
      fc.asyncProperty(arbitraryDisk(3 << 20), async (disk) => {
        fc.pre(fits(target, disk.size, options));
        const { sink, result } = await convert(await openRaw(disk), requestFor(id, options));
        expect(sink.ended).toBe("committed");
        expect(result.verified).toBe(true);
        expect(Buffer.from(result.blake3 as Uint8Array).toString("hex")).toBe(await blake3(diskBytes(disk)));
        expect(result.unhashed).toBeNull();
        const written = await reopen(sink.files, id, target, options);
        const back = await convert(written, requestFor("raw"));
        expect(Buffer.compare(await bytesOf(back.sink.files[0] as SparseFile), diskBytes(disk))).toBe(0);
      }),
      // Among them the smallest disk there is, which does not shrink.
      { numRuns: 2, examples: [[{ size: 512, pieces: [{ start: 0, bytes: noise(512, 5) }] }]] },
    );
  });

  test.each(writable)("$id $options: the same bytes with one worker and with three", async ({ id, options }) => {
    const disk: TestDisk = { size: 14 << 20, pieces: [0, 5, 9, 12].map((mib) => ({ start: mib << 20, bytes: noise(700_000, mib) })) };
    const one = await convert(await openRaw(disk), requestFor(id, options), 1);
    const three = await convert(await openRaw(disk), requestFor(id, options), 3);
    for (const [i, file] of one.sink.files.entries())
      expect(Buffer.compare(await bytesOf(file), await bytesOf(three.sink.files[i] as SparseFile))).toBe(0);
  });
});

describe("when something goes wrong", () => {
  const disk: TestDisk = { size: 12 << 20, pieces: [{ start: 0, bytes: noise(12 << 20, 3) }] };

  test("a written byte that changed is found by the verification, and nothing is committed", async () => {
    const tamper = ([file]: readonly SparseFile[]): void => file?.write(7 << 20, new Uint8Array([1, 2, 3]));
    await expect(convert(await openRaw(disk), requestFor("raw"), 2, never, tamper)).rejects.toThrow(
      /differs from what was read, between disk offsets 0 and \d+: .* source was changed/,
    );
  });

  test("an abort in mid-job ends it and aborts the sink", async () => {
    const abort = new AbortController();
    const source = await openRaw(disk);
    const volume = source.chain[0] as Volume;
    const file = volume.files[0] as ByteSource;
    let reads = 0;
    const stopping: ByteSource = {
      ...file,
      name: file.name,
      size: file.size,
      origin: null,
      read: async (at, length) => {
        if (++reads === 5) abort.abort(new DiskError("io", "stopped by the test"));
        return file.read(at, length);
      },
    };
    const chain = [{ ...volume, files: [stopping] }];
    await expect(convert({ ...source, chain }, requestFor("qcow2"), 2, abort.signal)).rejects.toThrow("stopped by the test");
  });

  test("a block that cannot be read stops the job, or is zeroed and listed when asked for", async () => {
    const source = await openRaw(disk);
    const volume = source.chain[0] as Volume;
    const bad = { start: 5 << 20, length: 1 << 20 };
    const failing = {
      ...volume,
      files: [
        ...volume.files,
        {
          name: "bad.part",
          size: 1 << 40,
          origin: null,
          read: async () => Promise.reject(new DiskError("io", "unreadable sector", { file: "bad.part", at: 9 })),
        },
      ],
      async extents(start: number, length: number) {
        const end = start + length;
        if (start < bad.start) return volume.extents(start, Math.min(end, bad.start) - start);
        if (start >= bad.start + bad.length) return volume.extents(start, length);
        return [{ kind: "raw" as const, start, length: Math.min(end, bad.start + bad.length) - start, file: 1, at: 9 }];
      },
    };
    const damaged = createDisk([failing], contextOf().compute.mergeLayers);
    await expect(convert(damaged, requestFor("raw"))).rejects.toMatchObject({ code: "io", file: "bad.part" });
    const { sink, result } = await convert(damaged, { ...requestFor("raw"), salvage: true });
    expect(result.lost.reduce((sum, { length }) => sum + length, 0)).toBe(bad.length);
    const expected = diskBytes(disk);
    expected.fill(0, bad.start, bad.start + bad.length);
    expect(Buffer.compare(await bytesOf(sink.files[0] as SparseFile), expected)).toBe(0);
  });
});

test("compare finds the first differing byte, and none in equal disks of unequal length with a zero tail", async () => {
  const pool = localPool();
  await fc.assert(
    fc.asyncProperty(arbitraryDisk(1 << 20), fc.nat(), fc.nat(300_000), async (disk, place, longer) => {
      const bytes = diskBytes(disk);
      const tail = new Uint8Array(bytes.length + Math.ceil(longer / 512) * 512);
      tail.set(bytes);
      const a = await openRaw(disk);
      const same = await openRaw({ size: tail.length, pieces: [{ start: 0, bytes: tail }] });
      expect((await compareDisks(a, same, pool, quiet, never)).differsAt).toBe(null);
      const at = place % tail.length;
      tail[at] = (tail[at] as number) ^ 0x40;
      const other = await openRaw({ size: tail.length, pieces: [{ start: 0, bytes: tail }] });
      expect((await compareDisks(a, other, pool, quiet, never)).differsAt).toBe(at);
    }),
    { numRuns: 40 },
  );
});

test("a 64 TiB empty disk is planned and written without its size costing anything; a format that cannot carry it says so", async () => {
  const huge: TestDisk = { size: 64 * 2 ** 40, pieces: [] };
  const source = new SparseFile("huge.raw");
  source.truncate(huge.size);
  const empty = Object.assign(source, { dataRanges: () => [] });
  const disk = await openDisk(empty, contextOf(), "raw");
  const { sink, result } = await convert(disk, requestFor("qcow2"));
  expect(sink.files[0]?.size).toBeLessThan(8 << 20);
  expect(result).toMatchObject({ verified: true, blake3: null, unhashed: expect.stringContaining("zeros") });
  await expect(convert(disk, requestFor("vmdk", { subformat: "monolithicSparse" }))).rejects.toMatchObject({ code: "limit" });
});
