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

/** Entries cut to their size. */
function expectLikeTwin(entries: readonly bigint[], layout: TableLayout): void {
  const view = new DataView(new ArrayBuffer(entries.length * layout.entryBytes));
  for (const [i, entry] of entries.entries()) {
    if (layout.entryBytes === 4) view.setUint32(i * 4, Number(BigInt.asUintN(32, entry)), layout.endian === "le");
    else view.setBigUint64(i * 8, BigInt.asUintN(64, entry), layout.endian === "le");
  }
  const table = new Uint8Array(view.buffer);
  expect(kernels.scanTable(table, layout)).toEqual(scanTable(table, layout));
}

const rising = (start: bigint, step: bigint, count: number): bigint[] => Array.from({ length: count }, (_, i) => start + BigInt(i) * step);

test("takes blocks of like entries as its twin takes them one by one", () => {
  fc.assert(
    fc.property(layouts, fc.array(run, { maxLength: 8 }), fc.array(fc.nat(300), { maxLength: 4 }), (layout, runs, altered) => {
      const entries = runs.flatMap(({ start, step, count }) => rising(start, step, count));
      for (const i of altered) if (i < entries.length) entries[i] = (entries[i] as bigint) ^ 512n;
      expectLikeTwin(entries, layout);
    }),
    { numRuns: 1500 },
  );
});

const QCOW2: TableLayout = {
  entryBytes: 8,
  endian: "be",
  mask: 0x00fffffffffffe00n,
  scale: 1,
  base: 0,
  unit: UNIT,
  hole: 0n,
  zero: null,
  zeroBits: 1n,
  packedBits: (1n << 62n) | (1n << 57n),
};
const VDI: TableLayout = {
  entryBytes: 4,
  endian: "le",
  mask: 0xffff_ffffn,
  scale: 2 ** 20,
  base: 2 ** 21,
  unit: 2 ** 20,
  hole: 0xffff_ffffn,
  zero: 0xffff_fffen,
  zeroBits: 0n,
  packedBits: 0n,
};
/** The layouts of formats, and such as differ from them where a block could go wrong. */
const KNOWN: Record<string, TableLayout> = {
  "qcow2 L2": QCOW2,
  "qcow2 L2, clusters of 512 bytes": { ...QCOW2, unit: 512 },
  "QED L2": { ...QCOW2, endian: "le", mask: (1n << 64n) - 1n, zero: 1n, zeroBits: 0n, packedBits: 0n },
  "VHD BAT": { ...VDI, endian: "be", scale: 512, base: 0, unit: 2 ** 21 + 512, zero: null },
  "VMDK grain table": { ...VDI, scale: 512, base: 0, hole: 0n, zero: 1n, unit: UNIT },
  VDI,
  "VDI, blocks of 2 MiB": { ...VDI, scale: 2 ** 21, unit: 2 ** 21 },
  "VDI with data beside each block": { ...VDI, scale: 2 ** 20 + 512 },
  "Parallels BAT": { ...VDI, base: 0, hole: null, zero: null },
  "a mask of 24 bits": { ...VDI, mask: 0xff_ffffn, zeroBits: 1n << 24n, packedBits: 1n << 31n },
  "a mask of 24 bits in eight bytes": { ...QCOW2, mask: 0xff_ffffn, zeroBits: 1n << 24n, unit: 1 },
  "a mask in two parts": { ...QCOW2, mask: 0xffff00ff0000n },
  "flags among the masked bits": { ...QCOW2, packedBits: 1n << 21n, zeroBits: 1n << 30n },
  "a step below the mask": { ...QCOW2, mask: 0xfffffffffff00000n },
  "a step of 2^34": { ...QCOW2, unit: 2 ** 34 },
  "values in the way": { ...QCOW2, hole: 3000n << 16n, zero: 5000n << 16n },
  "positions above 2^53": { ...QCOW2, base: 2 ** 53 - 1000 * UNIT },
};

/** A progression of more entries than the kernel takes at once, some of them altered. */
const longRun = fc.record({
  start: fc.oneof(
    fc.nat(2000).map(BigInt),
    // Leaves the mask, the entry, or the numbers that are exact, on its way.
    fc.tuple(fc.constantFrom(8n, 16n, 24n, 32n, 37n, 40n, 48n), fc.nat(5000)).map(([bit, n]) => (1n << bit) - BigInt(n)),
  ),
  flags: fc.constantFrom(0n, 0n, 0n, 0n, 1n << 63n, 1n << 27n, 0x80n),
  count: fc.integer({ min: 4080, max: 8210 }),
  altered: fc.array(
    fc.record({
      at: fc.nat(8209),
      bit: fc.oneof(fc.nat(63), fc.constantFrom(-1)),
      count: fc.constantFrom(1, 1, 2, 7, 8, 40, 5000),
    }),
    { maxLength: 5 },
  ),
});

test.each(Object.keys(KNOWN))("long runs that break off anywhere: %s", (name) => {
  const layout = KNOWN[name] as TableLayout;
  const step = BigInt(Math.max(1, Math.floor(layout.unit / layout.scale)));
  fc.assert(
    fc.property(longRun, ({ start, flags, count, altered }) => {
      const entries = rising(start * step, step, count).map((entry) => entry | flags);
      // A bit that changes, in one entry or in many; or holes.
      for (const change of altered)
        for (let i = change.at; i < Math.min(count, change.at + change.count); i++)
          entries[i] = change.bit < 0 ? (layout.hole ?? 0n) : (entries[i] as bigint) ^ (1n << BigInt(change.bit));
      expectLikeTwin(entries, layout);
    }),
    { numRuns: 20 },
  );
});

test.each([62n, 63n, 64n])("a run that ends at 2^%s has nothing in common with what follows", (bit) => {
  const layout = KNOWN["QED L2"] as TableLayout;
  const step = BigInt(UNIT);
  for (const following of [0n, 1n, step])
    expectLikeTwin([...rising((1n << bit) - 8n * step, step, 8), ...rising(following, 0n, 16)], layout);
});

/** Runs of one to four entries, among them holes, zero and packed ones, in any order. */
const shortRuns = fc.array(
  fc.record({
    start: fc.nat(40),
    flags: fc.constantFrom(0n, 0n, 0n, 1n << 63n),
    special: fc.nat(12),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  { minLength: 1, maxLength: 120 },
);

test.each(Object.keys(KNOWN))("fragmented tables: %s", (name) => {
  const layout = KNOWN[name] as TableLayout;
  const step = BigInt(Math.max(1, Math.floor(layout.unit / layout.scale)));
  const special = [
    layout.hole ?? 0n,
    layout.zero ?? 0n,
    layout.zeroBits | (5n * step),
    layout.packedBits | (6n * step),
    (1n << 53n) - step,
  ];
  fc.assert(
    fc.property(shortRuns, (runs) => {
      const entries = runs.flatMap((run) => {
        const value = special[run.special];
        return value === undefined
          ? rising(BigInt(run.start) * step, step, run.count).map((entry) => entry | run.flags)
          : rising(value, 0n, run.count);
      });
      expectLikeTwin(entries, layout);
    }),
    { numRuns: 60 },
  );
});
