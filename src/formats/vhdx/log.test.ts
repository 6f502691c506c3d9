import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { DiskError } from "../../core/errors.ts";
import { diskBytes, diskOf, noise } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { SparseFile } from "../../testing/sparse-file.ts";
import {
  BAT_AT,
  batEntry,
  DATA_AT,
  LOG_GUID,
  type LogWrite,
  logEntry,
  patchHeaders,
  putInLog,
  REGION_TABLES,
  u32,
  u64,
  useLog,
} from "../../testing/vhdx-images.ts";
import { vhdx } from "./index.ts";

const target = vhdx.target!;
const qemu = judge("qemu-img");
const qemuIo = judge("qemu-io");
const folder = mkdtempSync(join(tmpdir(), "vhdx-log-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 1 << 20;
const SIZE = 4 * MIB;
/** MiB 0 and 2 hold data, in the file's MiB 4 and 5. */
const DISK = diskOf(SIZE, MIB, new Map([0, 2].map((i) => [i, noise(MIB, i + 1)])));
const sectorOf = (byte: number) => new Uint8Array(4096).fill(byte);

async function sample(): Promise<SparseFile> {
  const image = await writeImage(target.create(specFor(target, SIZE, "d.vhdx", { block_size: "1M" }), testCompute()), DISK);
  await useLog(image.files[0]!);
  return image.files[0]!;
}
const open = (file: SparseFile) => vhdx.open(file, contextOf());
/** The first 4 KiB of the BAT with some entries replaced. */
async function batSector(file: SparseFile, entries: Readonly<Record<number, Uint8Array>>): Promise<Uint8Array> {
  const sector = await file.read(BAT_AT, 4096);
  for (const [entry, bytes] of Object.entries(entries)) sector.set(bytes, Number(entry) * 8);
  return sector;
}

/** qemu-img's own replay, into a copy; the disk that it then shows. `size`: it does not make the file longer itself. */
async function replayedByQemu(file: SparseFile, size = file.size): Promise<Uint8Array> {
  const path = join(folder, "qemu.vhdx");
  const copy = file.copy();
  copy.truncate(size);
  copy.save(path);
  const repair = qemu!.run(["check", "-r", "all", "-f", "vhdx", path]);
  expect(repair.stdout + repair.stderr).toMatch(/No errors|repaired/);
  qemu!.must(["convert", "-f", "vhdx", "-O", "raw", path, join(folder, "qemu.raw")]);
  return readFileSync(join(folder, "qemu.raw"));
}

describe("a log in use", () => {
  async function movedBlocks(): Promise<{ file: SparseFile; expected: Uint8Array }> {
    const file = await sample();
    // Block 1 is put where block 0 was, block 0 into a new place at the end, half of which the log fills.
    const sector = await batSector(file, { 0: batEntry(6, 6 * MIB), 1: batEntry(6, DATA_AT) });
    const writes: LogWrite[] = [
      { at: BAT_AT, data: sector },
      { at: 6 * MIB + 8192, data: sectorOf(7) },
      { at: DATA_AT + 4096, zeros: 8192 },
      { at: 5 * MIB + MIB - 4096, data: sectorOf(9) },
    ];
    putInLog(file, 0, logEntry({ sequence: 5, tail: 0, writes, flushed: 6 * MIB, last: 7 * MIB }));
    const expected = new Uint8Array(SIZE);
    expected.fill(7, 8192, 12288);
    expected.set(diskBytes(DISK, 0, MIB), MIB);
    expected.fill(0, MIB + 4096, MIB + 12288);
    expected.set(diskBytes(DISK, 2 * MIB, MIB), 2 * MIB);
    expected.fill(9, 3 * MIB - 4096, 3 * MIB);
    return { file, expected };
  }

  test("moves a block, in memory only: tables and data come from it, untouched data from the file itself", async () => {
    const { file, expected } = await movedBlocks();
    const before = await file.read(0, file.size);
    const volume = await open(file);
    expect(volume.notes).toEqual([{ severity: "info", text: expect.stringContaining("replayed in memory") }]);
    expect(volume.details["log-entries-replayed"]).toBe(1);
    expect(volume.files[0]).toBe(file);
    expect(volume.files[1]).toMatchObject({ origin: null, size: 7 * MIB, name: "d.vhdx" });
    expect(await volume.extents(0, SIZE)).toEqual([
      { kind: "zero", start: 0, length: 8192 },
      { kind: "raw", start: 8192, length: 4096, file: 1, at: 6 * MIB + 8192 },
      { kind: "zero", start: 12288, length: MIB - 12288 },
      { kind: "raw", start: MIB, length: 4096, file: 0, at: DATA_AT },
      { kind: "zero", start: MIB + 4096, length: 8192 },
      { kind: "raw", start: MIB + 12288, length: 2 * MIB - 16384, file: 0, at: DATA_AT + 12288 },
      { kind: "raw", start: 3 * MIB - 4096, length: 4096, file: 1, at: 6 * MIB - 4096 },
      { kind: "hole", start: 3 * MIB, length: MIB },
    ]);
    expect(Buffer.compare(await readVolume(volume), expected)).toBe(0);
    expect(Buffer.compare(await file.read(0, file.size), before)).toBe(0);
    expect(await vhdx.check!(file, contextOf())).toMatchObject({ corruptions: 0, findings: [{ severity: "warning" }] });
  });

  test.skipIf(qemu === null)("qemu-img's replay, into a copy, shows the same disk", async () => {
    const { file, expected } = await movedBlocks();
    expect(Buffer.compare(await replayedByQemu(file, 7 * MIB), expected)).toBe(0);
  });

  test.skipIf(qemu === null || qemuIo === null)("entries as QEMU writes them, before they reached the BAT", async () => {
    const path = join(folder, "qemu-log.vhdx");
    qemu!.must(["create", "-f", "vhdx", "-o", "block_size=1M", path, "8M"]);
    qemuIo!.run(["-f", "vhdx", "-c", "write -P 65 1M 1M", "-c", "write -P 66 5M 64k", "-c", "sigraise 9", path]);
    const file = new SparseFile("qemu-log.vhdx");
    file.write(0, readFileSync(path));
    const log = await file.read(MIB, MIB);
    const newest = Buffer.from(log.buffer).lastIndexOf("loge");
    await patchHeaders(file, 48, log.slice(newest + 32, newest + 48));
    const table = Buffer.from((await file.read(REGION_TABLES[0], 4096)).buffer);
    const bat = Number(table.readBigUInt64LE(table.indexOf(Buffer.from("6677c22d", "hex")) + 16));
    file.write(bat, new Uint8Array(4096));
    const expected = new Uint8Array(8 * MIB).fill(65, MIB, 2 * MIB).fill(66, 5 * MIB, 5 * MIB + 65536);
    const volume = await open(file);
    expect(volume.notes).toMatchObject([{ severity: "info" }]);
    expect(Buffer.compare(await readVolume(volume), expected)).toBe(0);
    expect(Buffer.compare(await replayedByQemu(file), expected)).toBe(0);
  });

  test("region tables are read from it", async () => {
    const file = await sample();
    const table = await file.read(REGION_TABLES[0], 4096);
    for (const at of REGION_TABLES) file.write(at, new Uint8Array(4096));
    expect((await failureWithoutLog(file)).message).toContain("no region table");
    putInLog(file, 0, logEntry({ sequence: 1, tail: 0, writes: REGION_TABLES.map((at) => ({ at, data: table })) }));
    expect(Buffer.compare(await readVolume(await open(file)), diskBytes(DISK))).toBe(0);
  });
  async function failureWithoutLog(file: SparseFile): Promise<DiskError> {
    const copy = file.copy();
    await patchHeaders(copy, 48, new Uint8Array(16));
    return failure(open(copy));
  }

  test("the sequence may lie around the end of the log; entries before its tail count no more", async () => {
    const file = await sample();
    const write = (byte: number): LogWrite[] => [{ at: DATA_AT, data: sectorOf(byte) }];
    const old = logEntry({ sequence: 6, tail: MIB - 20480, writes: [{ at: DATA_AT + 4096, data: sectorOf(0xee) }] });
    putInLog(file, MIB - 20480, old);
    const tail = MIB - 12288;
    putInLog(file, tail, logEntry({ sequence: 7, tail, writes: write(1) }));
    putInLog(file, MIB - 4096, logEntry({ sequence: 8, tail, writes: write(2) }));
    putInLog(file, 4096, logEntry({ sequence: 9, tail, writes: [{ at: DATA_AT + 8192, data: sectorOf(3) }] }));
    const bytes = await readVolume(await open(file), 0, 16384);
    const expected = diskBytes(DISK, 0, 16384);
    expected.fill(2, 0, 4096);
    expected.fill(3, 8192, 12288);
    expect(Buffer.compare(bytes, expected)).toBe(0);
    expect((await open(file)).details["log-entries-replayed"]).toBe(3);
  });

  test("the sequence with the greatest sequence number counts, wherever it lies", async () => {
    const file = await sample();
    putInLog(file, 65536, logEntry({ sequence: 3, tail: 65536, writes: [{ at: DATA_AT, data: sectorOf(3) }] }));
    putInLog(file, 0, logEntry({ sequence: 2 ** 33 + 1, tail: 0, writes: [{ at: DATA_AT, data: sectorOf(9) }] }));
    putInLog(file, 131072, logEntry({ sequence: 2 ** 40, tail: 0, writes: [{ at: DATA_AT, data: sectorOf(4) }] }));
    expect((await readVolume(await open(file), 0, 4096))[0]).toBe(9);
  });

  test("an entry that was torn while it was written is not replayed, what came before it is", async () => {
    const entries = [1, 2, 3].map((sequence) => logEntry({ sequence, tail: 0, writes: [{ at: DATA_AT, data: sectorOf(sequence) }] }));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 8191 }), async (at) => {
        const file = await sample();
        for (const [i, entry] of entries.entries()) putInLog(file, i * 8192, entry);
        const torn = Uint8Array.of((entries[2]![at] as number) ^ 0x10);
        file.write(MIB + 16384 + at, torn);
        const volume = await open(file);
        expect(volume.details["log-entries-replayed"]).toBe(2);
        expect((await readVolume(volume, 0, 1))[0]).toBe(2);
      }),
      { numRuns: 25 },
    );
  });

  test("no valid sequence is an error that says why", async () => {
    const file = await sample();
    expect(await failure(open(file))).toMatchObject({
      code: "corrupt",
      at: MIB,
      message: expect.stringContaining("no entry with this logGuid"),
    });
    const entry = logEntry({ sequence: 1, tail: 0, writes: [{ at: DATA_AT, data: sectorOf(1) }] });
    const damaged: [number, Uint8Array, string][] = [
      [88, Uint8Array.of(2), "sequenceNumber"],
      [4, Uint8Array.of(1, 2, 3, 4), "checksum"],
      [8, Uint8Array.of(0, 0, 0, 8), "length or tail"],
      [24, Uint8Array.of(255, 255, 255, 255), "length or tail"],
      [64, Uint8Array.of(0), "no known kind"],
      [4096, Uint8Array.of(0), "torn data sector"],
      [8191, Uint8Array.of(9), "torn data sector"],
    ];
    for (const [at, bytes, why] of damaged) {
      putInLog(file, 0, entry);
      file.write(MIB + at, bytes);
      expect((await failure(open(file))).message).toContain(why);
    }
    putInLog(file, 0, logEntry({ sequence: 4, tail: 8192, writes: [] }));
    expect((await failure(open(file))).message).toContain("from one that is not there");
    file.write(MIB, new Uint8Array(8192));
    putInLog(file, 0, entry);
    await patchHeaders(
      file,
      48,
      LOG_GUID.map((byte) => byte ^ 1),
    );
    expect((await failure(open(file))).message).toContain("no entry with this logGuid");
  });

  test.each<[string, Parameters<typeof logEntry>[0]]>([
    ["truncated", { sequence: 1, tail: 0, writes: [], flushed: 7 * MIB }],
    ["2^53", { sequence: 1, tail: 0, writes: [], last: 2 ** 60 }],
    ["over its headers", { sequence: 1, tail: 0, writes: [{ at: 65536, data: sectorOf(1) }] }],
    ["outside the file", { sequence: 1, tail: 0, writes: [{ at: 6 * MIB, data: sectorOf(1) }] }],
    ["outside the file", { sequence: 1, tail: 0, writes: [{ at: 4 * MIB, zeros: 2 ** 50 }] }],
    ["outside the file", { sequence: 1, tail: 0, writes: [{ at: 2 ** 60, zeros: 4096 }] }],
  ])("refused: %s", async (text, entry) => {
    const file = await sample();
    putInLog(file, 0, logEntry(entry));
    expect(await failure(open(file))).toMatchObject({ code: "corrupt", at: MIB, message: expect.stringContaining(text) });
  });

  test("a log that is too long, or holds too many writes, is told to be", async () => {
    const file = await sample();
    const entry = logEntry({ sequence: 1, tail: 0, writes: Array.from({ length: 65537 }, () => ({ at: DATA_AT, zeros: 4096 })) });
    file.write(8 * MIB, entry);
    file.truncate(80 * MIB);
    await patchHeaders(file, 68, Uint8Array.of(...u32(4 * MIB), ...u64(8 * MIB)));
    expect(await failure(open(file))).toMatchObject({ code: "limit", at: 8 * MIB, message: expect.stringContaining("65536 writes") });
    await patchHeaders(file, 68, u32(33 * MIB));
    expect(await failure(open(file))).toMatchObject({ code: "limit", at: 8 * MIB, message: expect.stringContaining(`${33 * MIB} bytes`) });
  });

  test("any writes, one over the other: as if they were carried out in their order", async () => {
    const write = fc.record({ page: fc.nat(15), pages: fc.integer({ min: 1, max: 12 }), byte: fc.nat(3) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(write, { maxLength: 6 }), { minLength: 1, maxLength: 5 }), async (entries) => {
        const file = await sample();
        const expected = diskBytes(DISK, 0, MIB);
        let at = 0;
        for (const [i, list] of entries.entries()) {
          const writes = list.map(({ page, pages, byte }): LogWrite => {
            const length = byte === 0 ? pages * 4096 : 4096;
            expected.fill(byte, page * 4096, page * 4096 + length);
            return { at: DATA_AT + page * 4096, ...(byte === 0 ? { zeros: length } : { data: sectorOf(byte) }) };
          });
          const entry = logEntry({ sequence: i + 1, tail: 0, writes });
          putInLog(file, at, entry);
          at += entry.length;
        }
        expect(Buffer.compare(await readVolume(await open(file), 0, MIB), expected)).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  test("hostile: a log of entries that lie over each other ends soon", async () => {
    const file = await sample();
    const length = MIB;
    for (let at = 0; at < MIB; at += 4096) {
      const entry = logEntry({ sequence: at + 1, tail: at, writes: [] });
      new DataView(entry.buffer).setUint32(8, length, true);
      putInLog(file, at, entry);
    }
    const began = performance.now();
    expect((await failure(open(file))).code).toBe("corrupt");
    expect(performance.now() - began).toBeLessThan(2000);
  });
});
