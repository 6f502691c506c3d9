import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BlockOrder, PlacedExtent } from "../core/ports.ts";
import { noise } from "../testing/disks.ts";
import { createProcessor, type Sources } from "./processor.ts";
import { footprint, planReads } from "./reads.ts";

const GRAIN = 65_536;
const MIB = 1 << 20;
const raw = (start: number, length: number, at: number, file = 0): PlacedExtent => ({ kind: "raw", start, length, file, at });

/** Ascending on the disk; in the file often right behind the one before, else anywhere. */
const lists = fc
  .array(
    fc.record({
      gap: fc.constantFrom(0, 0, 512, GRAIN, 7 * GRAIN),
      length: fc.constantFrom(512, 4096, GRAIN, 3 * GRAIN, MIB, 3 * MIB),
      file: fc.constantFrom(0, 0, 0, 1),
      jump: fc.constantFrom(0, 0, 0, 512, 3 * MIB),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((pieces) => {
    let start = 0;
    const ends = [0, 0];
    return pieces.map(({ gap, length, file, jump }) => {
      start += gap;
      const at = (ends[file] as number) + jump;
      ends[file] = at + length;
      start += length;
      return raw(start - length, length, at, file);
    });
  });

/** An order of those extents, over every grain that one of them touches. */
function orderOf(extents: readonly PlacedExtent[], salvage = false): BlockOrder {
  const grains = new Set<number>();
  for (const { start, length } of extents)
    for (let grain = start - (start % GRAIN); grain < start + length; grain += GRAIN) grains.add(grain);
  const list = [...grains].sort((a, b) => a - b);
  const diskSize = (list.at(-1) ?? 0) + GRAIN;
  return { diskSize, grain: GRAIN, unit: 512, grains: list, extents, hash: false, units: true, encoding: null, salvage };
}

test("every extent is served by one read that holds it; only what lies in one piece grows past 2 MiB", () => {
  fc.assert(
    fc.property(lists, (extents) => {
      const plan = planReads(orderOf(extents));
      expect(plan.flatMap((read) => read.extents).toSorted((a, b) => a.start - b.start)).toEqual(extents);
      for (const read of plan) {
        for (const extent of read.extents) {
          expect(extent.file).toBe(read.source);
          expect(extent.at >= read.at && extent.at + footprint(extent) <= read.at + read.length).toBe(true);
        }
        if (read.length > 2 * MIB && read.extents.length > 1) expect(read.straight).toBe(true);
        if (read.straight) expect(read.extents.reduce((sum, { length }) => sum + length, 0)).toBe(read.length);
      }
    }),
  );
});

describe("what is read lands where it belongs", () => {
  const files = [noise(40 * MIB, 1), noise(40 * MIB, 2)];
  /** `into`: the room that is given is filled, as in Node; else memory of the source's own is handed over, as in browsers. */
  const sources = (into: boolean, reads: number[]): Sources => ({
    nameOf: () => "disk",
    async read(source, at, length, room) {
      reads.push(length);
      const bytes = (files[source] as Uint8Array).subarray(at, at + length);
      if (!into) return bytes.slice() as Uint8Array<ArrayBuffer>;
      const own = room(length);
      own.set(bytes);
      return own;
    },
  });
  const expected = (order: BlockOrder): Uint8Array => {
    const disk = new Uint8Array(order.diskSize);
    for (const { file, start, at, length } of order.extents) disk.set((files[file] as Uint8Array).subarray(at, at + length), start);
    return disk;
  };
  const found = async (order: BlockOrder, into: boolean, reads: number[] = []): Promise<Uint8Array> => {
    const { buffer, index, offset, length } = await createProcessor().process(order, sources(into, reads));
    const disk = new Uint8Array(order.diskSize);
    index.forEach((unit, i) => void disk.set(new Uint8Array(buffer, offset[i], length[i]), unit * order.unit));
    return disk;
  };

  test.each([true, false])("any extents, read into the room given: %s", async (into) => {
    await fc.assert(
      fc.asyncProperty(lists, fc.boolean(), async (extents, salvage) => {
        const order = orderOf(extents, salvage);
        expect(Buffer.compare(await found(order, into), expected(order))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("data in one piece of the file, with holes between on the disk, are one read", async () => {
    const order = orderOf([raw(0, 3 * MIB, 512), raw(8 * MIB, 3 * MIB, 3 * MIB + 512), raw(20 * MIB, 2 * MIB, 6 * MIB + 512)]);
    const reads: number[] = [];
    expect(Buffer.compare(await found(order, true, reads), expected(order))).toBe(0);
    expect(reads).toEqual([8 * MIB]);
  });

  test("in one piece of the file, but with another file's data between them on the disk", async () => {
    const order = orderOf([raw(0, 2 * MIB, 0), raw(2 * MIB, GRAIN, 0, 1), raw(2 * MIB + GRAIN, 2 * MIB, 2 * MIB)]);
    for (const into of [true, false]) expect(Buffer.compare(await found(order, into), expected(order))).toBe(0);
  });

  test("when salvaging, a read that fails half-way leaves zeros", async () => {
    const order = orderOf([raw(0, 3 * MIB, 0), raw(3 * MIB, MIB, 9 * MIB)], true);
    const failing: Sources = {
      nameOf: () => "disk",
      async read(_source, at, length, room) {
        room(length).fill(0xee);
        throw new Error(`no ${length} bytes at ${at}`);
      },
    };
    const { index, lost } = await createProcessor().process(order, failing);
    expect(index.length).toBe(0);
    expect(lost.reduce((sum, { length }) => sum + length, 0)).toBe(4 * MIB);
  });
});
