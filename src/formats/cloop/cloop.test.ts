import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import { noise, same } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { cloop } from "./index.ts";
import { Header } from "./spec.ts";

const qemu = judge("qemu-img");
/** The tool of Debian's cloop-utils. */
const hasMaker = spawnSync("create_compressed_fs", ["-h"]).error === undefined;
const folder = mkdtempSync(join(tmpdir(), "cloop-"));
afterAll(() => rmSync(folder, { recursive: true }));

const PREAMBLE = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";
const UNIT = 4096;
const DISK = new Uint8Array(5 * UNIT);
DISK.set(noise(UNIT + 100, 1), 1000);
DISK.fill(7, 3 * UNIT);
const BLOCKS = DISK.length / UNIT;
const TABLE_AT = Header.bytes;
const TABLE_END = TABLE_AT + (BLOCKS + 1) * 8;

function sample(preamble = PREAMBLE, unit = UNIT, blocks = BLOCKS): Uint8Array<ArrayBuffer> {
  const text = new Uint8Array(128);
  text.set(new TextEncoder().encode(preamble));
  const streams = Array.from({ length: BLOCKS }, (_, i) => deflateSync(DISK.subarray(i * UNIT, (i + 1) * UNIT)));
  const bytes = new Uint8Array(TABLE_END + streams.reduce((sum, { length }) => sum + length, 0));
  bytes.set(Header.write({ preamble: text, block_size: unit, n_blocks: blocks }));
  let at = TABLE_END;
  for (const [i, stream] of streams.entries()) {
    putOffset(bytes, i, BigInt(at));
    bytes.set(stream, at);
    at += stream.length;
  }
  putOffset(bytes, BLOCKS, BigInt(at));
  return bytes;
}
function putOffset(bytes: Uint8Array, block: number, offset: bigint): void {
  new DataView(bytes.buffer).setBigUint64(TABLE_AT + block * 8, offset);
}
const open = (bytes: Uint8Array) => cloop.open(memorySource("d.cloop", bytes), contextOf());

describe("compressed loopback images", () => {
  test("blocks are zlib streams", async () => {
    const bytes = sample();
    expect(cloop.probe(bytes, bytes)).toBe(true);
    const volume = await open(bytes);
    expect([volume.size, volume.unit, volume.notes]).toEqual([DISK.length, UNIT, []]);
    expect(same(await readVolume(volume), DISK)).toBe(true);
    expect(same(await readVolume(volume, 1500, 9000), DISK.subarray(1500, 10500))).toBe(true);
  });
  test.skipIf(qemu === null)("qemu-img reads the same", () => {
    writeFileSync(join(folder, "d.cloop"), sample());
    writeFileSync(join(folder, "raw"), DISK);
    expect(qemu!.must(["compare", "-f", "cloop", "-F", "raw", join(folder, "d.cloop"), join(folder, "raw")])).toContain("identical");
  });

  test.skipIf(!hasMaker).each([4096, 65536, 262144])(
    "what create_compressed_fs makes with blocks of %i bytes reads the same",
    async (unit) => {
      const disk = new Uint8Array(6 * 262144);
      disk.set(noise(400_000, 3), 100_000);
      writeFileSync(join(folder, "in.raw"), disk);
      const path = join(folder, `${unit}.cloop`);
      expect(spawnSync("create_compressed_fs", ["-q", "-B", `${unit}`, join(folder, "in.raw"), path], { cwd: folder }).status).toBe(0);
      using file = openFileSource(path);
      const volume = await cloop.open(file, contextOf());
      expect([volume.unit, volume.notes]).toEqual([unit, []]);
      expect(same(await readVolume(volume), disk)).toBe(true);
    },
  );

  test.each<[string, Parameters<typeof sample>, DiskErrorCode, keyof Parameters<typeof Header.write>[0]]>([
    ["another script", ["#!/bin/sh\necho\n"], "corrupt", "preamble"],
    ["another version", [PREAMBLE.replace("2.0", "4.0")], "unsupported", "preamble"],
    ["blocks of 0 bytes", [PREAMBLE, 0], "corrupt", "block_size"],
    ["blocks of 1,000 bytes", [PREAMBLE, 1000], "corrupt", "block_size"],
    ["blocks of 4 MiB", [PREAMBLE, 4 << 20], "limit", "block_size"],
    ["blocks of almost 4 GiB", [PREAMBLE, 0xfffffe00], "limit", "block_size"],
    ["no blocks", [PREAMBLE, UNIT, 0], "corrupt", "n_blocks"],
    ["too many blocks", [PREAMBLE, UNIT, 0xffffffff], "corrupt", "n_blocks"],
  ])("%s is refused by name and place", async (_, [preamble, unit, blocks], code, field) => {
    const error = await failure(open(sample(preamble, unit, blocks)));
    expect([error.code, error.file, error.at]).toEqual([code, "d.cloop", Header.offsetOf(field)]);
  });

  test("another number of blocks is a warning, another block size an error", async () => {
    expect((await open(sample(PREAMBLE, UNIT, BLOCKS - 1))).notes).toMatchObject([{ severity: "warning" }]);
    for (const unit of [UNIT / 2, UNIT * 2]) await failure(open(sample(PREAMBLE, unit)).then((volume) => readVolume(volume)));
  });

  test.each<[string, number, bigint]>([
    ["inside the table", 1, 150n],
    ["past the end of the file", 2, 2n ** 40n],
    ["beyond 2^53", 2, 2n ** 64n - 1n],
    ["equal to the next one", 2, 0n],
  ])("an offset %s loses its blocks only", async (_, block, offset) => {
    const bytes = sample();
    const next = new DataView(bytes.buffer).getBigUint64(TABLE_AT + (block + 1) * 8);
    putOffset(bytes, block, offset === 0n ? next : offset);
    const volume = await open(bytes);
    const error = await failure(volume.extents(block * UNIT + 512, 512));
    expect(error).toMatchObject({ code: "corrupt", at: TABLE_AT + block * 8, guest: { start: block * UNIT, length: UNIT } });
    expect(same(await readVolume(volume, (block + 1) * UNIT, UNIT), DISK.subarray((block + 1) * UNIT, (block + 2) * UNIT))).toBe(true);
  });

  test("a file that is cut off, and a damaged stream", async () => {
    const bytes = sample();
    const cut = await open(bytes.slice(0, -1));
    expect(cut.notes).toMatchObject([{ severity: "warning" }]);
    expect(same(await readVolume(cut, 0, 4 * UNIT), DISK.subarray(0, 4 * UNIT))).toBe(true);
    expect((await failure(cut.extents(4 * UNIT, UNIT))).guest).toEqual({ start: 4 * UNIT, length: UNIT });
    for (let size = 0; size < TABLE_END; size += 7) await failure(open(bytes.slice(0, size)));
    bytes[TABLE_END + 30] = (bytes[TABLE_END + 30] as number) ^ 1;
    await failure(readVolume(await open(bytes)));
  });
});

test("altered bytes give a DiskError or the right bytes, and nothing else", async () => {
  const bytes = sample();
  const edits = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(edits, async (list) => {
      const damaged = bytes.slice();
      for (const [at, value] of list) damaged[at] = value;
      cloop.probe(damaged, damaged);
      const work = open(damaged).then(async (volume) => ({ notes: volume.notes, disk: await readVolume(volume) }));
      const result = await work.catch((error: unknown) => error);
      if (result instanceof DiskError) return;
      const { notes, disk } = result as Awaited<typeof work>;
      expect(notes.length > 0 || same(disk, DISK)).toBe(true);
    }),
    { numRuns: 200 },
  );
});
