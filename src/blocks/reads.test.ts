import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BlockOrder, BlockResult, PlacedExtent } from "../core/ports.ts";
import { openBlob, readBlobRanges } from "../platform/browser/file-source.ts";
import { noise } from "../testing/disks.ts";
import { localPool } from "../testing/local-pool.ts";
import { createProcessor, type Sources } from "./processor.ts";
import type { FromWorker } from "./protocol.ts";
import { footprint, orderReads, planReads, totalBytes } from "./reads.ts";
import { type ReadTogether, serveBlocks } from "./worker.ts";

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

function diskOf({ diskSize, unit }: BlockOrder, { buffer, index, offset, length }: BlockResult): Uint8Array {
  const disk = new Uint8Array(diskSize);
  index.forEach((number, i) => void disk.set(new Uint8Array(buffer, offset[i], length[i]), number * unit));
  return disk;
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
    async read(source, ranges, room) {
      const length = totalBytes(ranges);
      reads.push(length);
      const own = into ? room(length) : new Uint8Array(length);
      let to = 0;
      for (const { at, length: count } of ranges) {
        own.set((files[source] as Uint8Array).subarray(at, at + count), to);
        to += count;
      }
      return own;
    },
  });
  const expected = (order: BlockOrder): Uint8Array => {
    const disk = new Uint8Array(order.diskSize);
    for (const { file, start, at, length } of order.extents) disk.set((files[file] as Uint8Array).subarray(at, at + length), start);
    return disk;
  };
  const found = async (order: BlockOrder, into: boolean, reads: number[] = []): Promise<Uint8Array> => {
    return diskOf(order, await createProcessor().process(order, sources(into, reads)));
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
      async read(_source, ranges, room) {
        room(totalBytes(ranges)).fill(0xee);
        throw new Error(`no ${totalBytes(ranges)} bytes at ${ranges[0]?.at}`);
      },
    };
    const { index, lost } = await createProcessor().process(order, failing);
    expect(index.length).toBe(0);
    expect(lost.reduce((sum, { length }) => sum + length, 0)).toBe(4 * MIB);
  });

  test("data in few pieces, wherever they lie in the file, is read at once and not copied", async () => {
    const order = orderOf([
      raw(0, 2 * MIB, 9 * MIB),
      raw(2 * MIB, MIB, 4 * MIB),
      raw(4 * MIB, GRAIN, 0),
      raw(4 * MIB + GRAIN, MIB, 20 * MIB),
    ]);
    for (const into of [true, false]) {
      const reads: number[] = [];
      expect(Buffer.compare(await found(order, into, reads), expected(order))).toBe(0);
      expect(reads).toEqual([4 * MIB + GRAIN]);
    }
  });
  test.each([
    ["a part of the grains has no data", [raw(0, MIB, 9 * MIB), raw(MIB, 512, 0)], false],
    ["the first grain begins later", [raw(512, GRAIN - 512, MIB), raw(GRAIN, MIB, 9 * MIB)], false],
    ["two files", [raw(0, MIB, 0), raw(MIB, MIB, 0, 1)], false],
    ["salvaging", [raw(0, MIB, 0), raw(MIB, MIB, 3 * MIB)], true],
    ["many pieces", Array.from({ length: 40 }, (_, i) => raw(i * GRAIN, GRAIN, (39 - i) * 2 * GRAIN)), false],
    ["pieces too small by a little", [raw(0, 3 * GRAIN, 3 * MIB), raw(3 * GRAIN, 4 * GRAIN, 0)], false],
  ])("not when %s", async (_why, extents, salvage) => {
    const order = orderOf(extents, salvage);
    expect(orderReads(order).whole).toBe(false);
    expect(Buffer.compare(await found(order, false), expected(order))).toBe(0);
  });

  test("pieces just large enough, and one however small", async () => {
    for (const extents of [[raw(0, 3 * GRAIN, 3 * MIB), raw(3 * GRAIN, 5 * GRAIN, 0)], [raw(GRAIN, GRAIN, MIB)]]) {
      expect(orderReads(orderOf(extents)).whole).toBe(true);
      expect(Buffer.compare(await found(orderOf(extents), false), expected(orderOf(extents)))).toBe(0);
    }
  });

  test("any extents of sources that only the pool can read", async () => {
    const pool = localPool(1);
    const ids = files.map((bytes, i) =>
      pool.attach({
        name: `disk ${i}`,
        size: bytes.length,
        origin: null,
        read: async (at, length) => bytes.slice(at, at + length) as Uint8Array<ArrayBuffer>,
      }),
    );
    // The map's runs end where its windows do: neighbours on the disk and in the file that are two extents, near what stands before them.
    const cut = [raw(0, GRAIN, 0), raw(GRAIN, MIB, GRAIN + 512), raw(MIB + GRAIN, MIB, MIB + GRAIN + 512)];
    await fc.assert(
      fc.asyncProperty(lists, fc.boolean(), async (extents, salvage) => {
        const order = orderOf(extents, salvage);
        const named = extents.map((extent) => ({ ...extent, file: ids[extent.file] as number }));
        const result = await pool.process({ ...order, extents: named }, new AbortController().signal);
        expect(Buffer.compare(diskOf(order, result), expected(order))).toBe(0);
      }),
      { numRuns: 40, examples: [[cut, false]] },
    );
    pool.end();
  });

  describe("by a worker that reads Blobs together", () => {
    /** One worker over both files, each inside a larger Blob; `calls`: the lengths that were asked for together. */
    const worker = (blobs: readonly Blob[], calls: number[] = []) => {
      const waiting = new Map<number, (message: FromWorker) => void>();
      const together: ReadTogether = (handle, name, ranges) => {
        calls.push(totalBytes(ranges));
        return readBlobRanges(handle, name, ranges);
      };
      const receive = serveBlocks(openBlob, (message) => waiting.get(message.job)?.(message), together);
      for (const [id, handle] of blobs.entries())
        receive({ type: "attach", id, name: `disk ${id}`, size: 40 * MIB, origin: { handle, at: 512 } });
      let last = 0;
      return (order: BlockOrder): Promise<FromWorker> =>
        new Promise((resolve) => {
          waiting.set(++last, resolve);
          receive({ type: "order", job: last, order, supplies: [] });
        });
    };
    const held = files.map((bytes) => new Blob([new Uint8Array(512), bytes as Uint8Array<ArrayBuffer>]));

    test("any extents, several orders at once", async () => {
      const send = worker(held);
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(lists, fc.boolean()), { minLength: 1, maxLength: 4 }), async (given) => {
          const orders = given.map(([extents, salvage]) => orderOf(extents, salvage));
          const answers = await Promise.all(orders.map(send));
          answers.forEach((answer, i) => {
            if (answer.type !== "done") throw new Error(JSON.stringify(answer));
            const order = orders[i] as BlockOrder;
            expect(Buffer.compare(diskOf(order, answer.result), expected(order))).toBe(0);
          });
        }),
        { numRuns: 30 },
      );
    });

    test("scattered data of an order takes two calls, large pieces one, two files one each", async () => {
      const calls: number[] = [];
      const send = worker(held, calls);
      const answers = [
        await send(orderOf(Array.from({ length: 40 }, (_, i) => raw(i * GRAIN, GRAIN, (39 - i) * 3 * GRAIN)))),
        await send(orderOf([raw(0, 2 * MIB, 9 * MIB), raw(2 * MIB, MIB, 4 * MIB), raw(3 * MIB, MIB, 0)])),
        await send(orderOf([raw(0, MIB, 9 * MIB), raw(MIB, MIB, 4 * MIB, 1)])),
      ];
      expect(answers.map(({ type }) => type)).toEqual(["done", "done", "done"]);
      expect(calls).toEqual([20 * GRAIN, 20 * GRAIN, 4 * MIB, MIB, MIB]);
    });

    test("nothing past the end of a file inside a larger one", async () => {
      const longer = [new Blob([held[0] as Blob, new Uint8Array(MIB)])];
      expect(await worker(longer)(orderOf([raw(0, MIB, 39 * MIB + 512)]))).toMatchObject({ type: "failed", error: { file: "disk 0" } });
    });

    test("a failure names the place where it is, and salvaging keeps what can be read", async () => {
      const short = [(held[0] as Blob).slice(0, 8 * MIB), held[1] as Blob];
      const extents = [raw(0, MIB, 0), raw(MIB, MIB, 10 * MIB), raw(2 * MIB, MIB, 2 * MIB)];
      const failed = await worker(short)(orderOf(extents));
      expect(failed).toMatchObject({ type: "failed", error: { file: "disk 0", at: 10 * MIB + 512 } });
      const order = orderOf(extents, true);
      const salvaged = await worker(short)(order);
      if (salvaged.type !== "done") throw new Error(JSON.stringify(salvaged));
      expect(salvaged.result.lost.reduce((sum, { length }) => sum + length, 0)).toBe(MIB);
      expect(Buffer.compare(diskOf(order, salvaged.result).subarray(2 * MIB), expected(order).subarray(2 * MIB))).toBe(0);
    });
  });
});
