import fc from "fast-check";
import { expect, test } from "vitest";
import type { TableLayout } from "../core/model.ts";
import { scanTable } from "../core/table-runs.ts";
import { createKernels } from "./index.ts";

const kernels = createKernels();
const UNIT = 65_536;

/** Any tests in and outside the masked bits; positions that are exact and that are not; masks in one piece and in two. */
const anyLayout: fc.Arbitrary<TableLayout> = fc.record({
  entryBytes: fc.constantFrom(4 as const, 8 as const, 8 as const),
  endian: fc.constantFrom("le" as const, "be" as const),
  mask: fc.constantFrom(0x00fffffffffffe00n, (1n << 64n) - 1n, 0xffffffn, 0xffff00ff0000n, 0xfffffffffff00000n),
  scale: fc.constantFrom(1, 512, UNIT, 0.5),
  base: fc.constantFrom(0, 512, 2 ** 53 - 200 * UNIT, -UNIT, 0.5),
  unit: fc.constantFrom(UNIT, 512),
  hole: fc.constantFrom(null, 0n, 1n << 63n, 5n << 16n, (1n << 64n) - 1n),
  zero: fc.constantFrom(null, 1n, 9n << 16n),
  zeroBits: fc.constantFrom(0n, 1n, 1n << 21n),
  packedBits: fc.constantFrom(0n, 1n << 62n, 1n << 22n),
});
/** Mostly those that formats have. */
const layouts = fc.oneof(
  { weight: 1, arbitrary: anyLayout },
  {
    weight: 4,
    arbitrary: anyLayout.map((layout): TableLayout => ({ ...layout, entryBytes: 8, scale: 1, unit: UNIT, zeroBits: 0n, packedBits: 0n })),
  },
);
const start = fc.oneof(
  fc.nat(64).map((n) => BigInt(n) << 16n),
  // About to outgrow the mask, the number, or what a double holds exactly.
  fc.tuple(fc.constantFrom(24n, 40n, 53n, 54n, 56n, 64n), fc.nat(64)).map(([bit, n]) => (1n << bit) - (BigInt(n) << 16n)),
);
const run = fc.record({
  start,
  step: fc.constantFrom(0n, 1n, 128n, 512n, 65_536n, 65_536n, 65_536n, 131_072n),
  count: fc.integer({ min: 1, max: 90 }),
});

test("takes blocks of like entries as its twin takes them one by one", () => {
  fc.assert(
    fc.property(layouts, fc.array(run, { maxLength: 8 }), fc.array(fc.nat(300), { maxLength: 4 }), (layout, runs, altered) => {
      const entries = runs.flatMap(({ start, step, count }) => Array.from({ length: count }, (_, i) => start + BigInt(i) * step));
      for (const i of altered) if (i < entries.length) entries[i] = (entries[i] as bigint) ^ 512n;
      const view = new DataView(new ArrayBuffer(entries.length * layout.entryBytes));
      for (const [i, entry] of entries.entries()) {
        if (layout.entryBytes === 4) view.setUint32(i * 4, Number(BigInt.asUintN(32, entry)), layout.endian === "le");
        else view.setBigUint64(i * 8, BigInt.asUintN(64, entry), layout.endian === "le");
      }
      const table = new Uint8Array(view.buffer);
      expect(kernels.scanTable(table, layout)).toEqual(scanTable(table, layout));
    }),
    { numRuns: 1500 },
  );
});
