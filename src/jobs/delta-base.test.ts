import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import type { Volume } from "../core/model.ts";
import { createOverlay } from "../core/overlay.ts";
import { converted } from "../testing/conversion.ts";
import { noise } from "../testing/disks.ts";
import { contextOf, testCompute } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { localPool } from "../testing/local-pool.ts";
import { arbitraryChange, changed, MIB, rawSource } from "../testing/patched-disks.ts";
import { openDisk } from "./chain.ts";
import { baseOf, changedUnits, levelOf, overBase } from "./delta.ts";
import { surveyChanges } from "./delta-units.ts";
import { createDisk, type Disk } from "./disk.ts";
import { survey } from "./survey.ts";

const { mergeLayers } = testCompute();
const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "delta-base-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a base is one of the disk's layers only when both show the same of the same files", async () => {
  const source = await openDisk(rawSource({ size: MIB, pieces: [] }), contextOf(), "raw");
  const [volume] = source.chain as [Volume];
  const top = changed(source, []);
  const base = (other: Partial<Volume>) => createDisk([{ ...volume, ...other }], mergeLayers);
  expect(levelOf(base({}), top)).toBe(1);
  expect(levelOf(base({}), source)).toBe(null);
  expect(levelOf(base({ format: "qcow2" }), top)).toBe(null);
  expect(levelOf(base({ snapshot: "1" }), top)).toBe(null);
  expect(levelOf(base({ files: [rawSource({ size: MIB, pieces: [] })] }), top)).toBe(null);
  const bare = createDisk([createOverlay(MIB, []), { ...volume, files: [] }], mergeLayers);
  expect(levelOf(base({ files: [] }), bare)).toBe(null);
});

describe("what a layer lies over", () => {
  const ports = { pool: localPool(1), compute: testCompute() };
  const over = (disk: Disk, base: Disk, name: string) => overBase(disk, base, name, ports, () => {}, never);

  test("is one of the disk's layers, or another disk that is compared with it", async () => {
    const source = await openDisk(rawSource({ size: MIB, pieces: [] }), contextOf(), "raw");
    const top = changed(source, [{ start: 65536, length: 512, bytes: noise(512, 1) }]);
    expect((await over(top, source, "b.raw")).changes).toBe(null);
    const other = await openDisk(rawSource({ size: MIB, pieces: [{ start: 0, bytes: noise(512, 2) }] }), contextOf(), "raw");
    expect([...(await over(top, other, "b.raw")).changes!]).toEqual([{ start: 0, length: 2 * 65536 }]);
  });

  test("is no file that others would see another disk in", async () => {
    const source = await openDisk(rawSource({ size: MIB, pieces: [] }), contextOf(), "raw");
    const shown = (other: Partial<Volume>) => createDisk([{ ...(source.chain[0] as Volume), ...other }], mergeLayers);
    await expect(over(source, shown({ wrapping: ["gzip"] }), "b.gz")).rejects.toThrow("b.gz is wrapped (gzip)");
    await expect(over(source, shown({ snapshot: "7" }), "b.img")).rejects.toThrow("b.img is shown as its snapshot 7");
    await expect(over(source, shown({ unsupported: ["x"] }), "b.img")).rejects.toThrow("cannot be read here: x");
  });

  test("has another name than the layer", async () => {
    const source = await openDisk(rawSource({ size: MIB, pieces: [] }), contextOf(), "raw");
    const top = changed(source, [{ start: 0, length: 512, bytes: noise(512, 1) }]);
    const base = { name: "Disk.qcow2", format: "qcow2", size: MIB, identity: null, details: {} };
    await expect(converted(top, { format: "qcow2", name: "disk.qcow2", over: { base, disk: source, changes: null } })).rejects.toThrow(
      "“disk.qcow2” is the name of the base",
    );
  });
});

describe("the changed units", () => {
  test("are told as often as asked, and the layers are asked once", async () => {
    const source = await openDisk(rawSource({ size: 4 * MIB, pieces: [{ start: 0, bytes: noise(MIB, 1) }] }), contextOf(), "raw");
    const layer = createOverlay(
      4 * MIB,
      [0, 1, 3].map((mib) => ({ start: mib * MIB, length: 4096, bytes: noise(4096, mib) })),
    );
    let asked = 0;
    const counted: Volume = {
      ...layer,
      extents(...range) {
        asked++;
        return layer.extents(...range);
      },
    };
    const top = createDisk([counted, ...source.chain], mergeLayers);
    const over = { base: baseOf(source.chain[0] as Volume, "b.raw"), disk: source, changes: null };
    const told = async (unit: number, disk = top) => {
      const units = [];
      for await (const { start, length } of changedUnits(disk, over, unit, false, never)) units.push([start / 4096, length / 4096]);
      return units;
    };
    expect(await told(4096)).toEqual([
      [0, 1],
      [256, 1],
      [768, 1],
    ]);
    const once = asked;
    expect(await told(8192)).toEqual([
      [0, 2],
      [256, 2],
      [768, 2],
    ]);
    expect([once > 0, asked]).toEqual([true, once]);
    // Another disk over the same base is not taken for the first.
    expect(await told(4096, changed(source, [{ start: MIB, length: 512, bytes: noise(512, 9) }]))).toEqual([[256, 1]]);
  });

  test("hold what a survey of each says", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryChange, fc.constantFrom(4096, 65536, MIB), async ({ disk, size, patches }, unit) => {
        const source = await openDisk(rawSource(disk), contextOf(), "raw");
        const top = changed(source, patches, size);
        const over = { base: baseOf(source.chain[0] as Volume, "b.raw"), disk: source, changes: null };
        const told: unknown[] = [];
        const found = await surveyChanges(top, over, unit, false, (start, length) => told.push({ start, length }), never);
        const sums = { told: [] as unknown[], dataBytes: 0, zeroBytes: 0, holeBytes: top.size };
        for await (const range of changedUnits(top, over, unit, false, never)) {
          const part = await survey(top, { cells: 1, salvage: false, start: range.start, end: range.start + range.length }, never);
          sums.told.push(range);
          sums.dataBytes += part.dataBytes;
          sums.zeroBytes += part.zeroBytes + part.holeBytes;
          sums.holeBytes -= range.length;
        }
        expect({ told, dataBytes: found.dataBytes, zeroBytes: found.zeroBytes, holeBytes: found.holeBytes }).toEqual(sums);
        expect(found.packedBytes).toBe(0);
      }),
      { numRuns: 20 },
    );
  });
});

const [qemuImg, qemuIo] = [judge("qemu-img"), judge("qemu-io")];
test.skipIf(qemuImg === null || qemuIo === null)("a snapshot is no layer of what the same file shows now", async () => {
  const path = join(folder, "states.qcow2");
  qemuImg!.must(["create", "-q", "-f", "qcow2", path, "1M"]);
  for (const byte of [1, 2]) {
    qemuIo!.must(["-f", "qcow2", "-c", `write -P ${byte} 0 512k`, path]);
    qemuImg!.must(["snapshot", "-c", `S${byte}`, path]);
  }
  const file = memorySource("states.qcow2", readFileSync(path));
  const [now, older] = [await openDisk(file, contextOf()), await openDisk(file, { ...contextOf(), snapshot: "S1" })];
  expect(levelOf(older, changed(older, []))).toBe(1);
  expect(levelOf(now, changed(older, []))).toBe(null);
});
