import fc from "fast-check";
import { expect, test } from "vitest";
import type { BlockOrder, PlacedExtent } from "../core/ports.ts";
import { noise } from "../testing/disks.ts";
import { contextOf } from "../testing/image-harness.ts";
import { localPool } from "../testing/local-pool.ts";
import { type MemorySink, memorySink } from "../testing/memory-sink.ts";
import { SparseFile } from "../testing/sparse-file.ts";
import { openDisk } from "./chain.ts";
import { planConvert, runConvert } from "./convert.ts";
import { copiedFrom } from "./copied.ts";
import type { AttachedDisk } from "./disk.ts";

const never = new AbortController().signal;
const MIB = 1 << 20;

async function convert(source: SparseFile, format: string, options: Readonly<Record<string, string>> = {}): Promise<MemorySink> {
  const pool = localPool(2);
  const { compute } = contextOf();
  const request = { format, options, name: `out.${format}`, salvage: false, verify: true, checkSource: true };
  const sinks: MemorySink[] = [];
  const createSink = async (names: readonly string[]): Promise<MemorySink> => {
    sinks.push(memorySink(names));
    return sinks[0] as MemorySink;
  };
  try {
    const ports = { pool, compute, createSink };
    await runConvert(await planConvert(await openDisk(source, contextOf()), request, ports, never), ports, () => {}, never);
  } finally {
    pool.end();
  }
  return sinks[0] as MemorySink;
}

// The sink compares what it is told to be a copy with the source.
test("what passes through unchanged is named by its place in the source; what is packed is not", async () => {
  const raw = new SparseFile("disk.raw");
  raw.write(65536, noise(12 * MIB, 1));
  raw.truncate(24 * MIB);
  const toQcow2 = await convert(raw, "qcow2");
  expect(toQcow2.copied).toBeGreaterThan(11 * MIB);
  const back = await convert(toQcow2.files[0] as SparseFile, "raw");
  expect(back.copied).toBeGreaterThan(11 * MIB);
  expect((await convert(raw, "qcow2", { compression: "deflate" })).copied).toBe(0);
});

test("a part of an order's bytes is named piece by piece, or not at all", async () => {
  const GRAIN = 65536;
  const files = [noise(MIB, 5), noise(MIB, 6)];
  const attached = { source: (file: number) => ({ name: String(file) }) } as unknown as AttachedDisk;
  const piece = fc.record({ kind: fc.constantFrom("raw", "raw", "raw", "none"), file: fc.nat(1), at: fc.nat(6), whole: fc.boolean() });
  await fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 12 }), fc.nat(), fc.nat(), (list, a, b) => {
      const bytes = new Uint8Array(list.length * GRAIN);
      const extents: PlacedExtent[] = [];
      list.forEach(({ kind, file, at, whole }, i) => {
        if (kind === "none") return;
        const length = whole ? GRAIN : GRAIN / 2;
        extents.push({ kind: "raw", start: 2 * i * GRAIN, length, at: at * (GRAIN / 2), file });
        bytes.set((files[file] as Uint8Array).subarray((at * GRAIN) / 2, (at * GRAIN) / 2 + length), i * GRAIN);
      });
      const grains = list.map((_, i) => 2 * i * GRAIN); // with a hole after each
      const order = { grains, grain: GRAIN, extents, encoding: null, salvage: false } as unknown as BlockOrder;
      const from = a % bytes.length;
      const part = bytes.subarray(from, from + 1 + (b % (bytes.length - from)));
      const named = copiedFrom(order, bytes.buffer, attached)(part);
      const isCopy = (i: number): boolean => {
        const { kind, whole } = list[Math.floor(i / GRAIN)] as (typeof list)[0];
        return kind === "raw" && (whole || i % GRAIN < GRAIN / 2);
      };
      const complete = Array.from(part, (_, i) => isCopy(from + i)).every(Boolean);
      expect(named !== undefined).toBe(complete);
      const there = (named ?? []).map(({ source, at, length }) => (files[Number(source.name)] as Uint8Array).subarray(at, at + length));
      if (complete) expect(Buffer.compare(Buffer.concat(there), part)).toBe(0);
    }),
    { numRuns: 300 },
  );
  const extents: PlacedExtent[] = [{ kind: "raw", start: 0, length: GRAIN, at: 0, file: 0 }];
  const order = { grains: [0], grain: GRAIN, extents, encoding: null, salvage: false } as unknown as BlockOrder;
  const bytes = new Uint8Array(GRAIN);
  const given = (changed: Partial<BlockOrder>, of = bytes) => copiedFrom({ ...order, ...changed }, bytes.buffer, attached)(of);
  expect(given({})).toHaveLength(1);
  expect(given({}, bytes.slice())).toBeUndefined();
  expect(given({ salvage: true })).toBeUndefined(); // zeros may stand for what could not be read
  expect(given({ encoding: { codec: "deflate" } as never })).toBeUndefined();
});
