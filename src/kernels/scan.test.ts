import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RUN_DATA, type TableLayout } from "../core/model.ts";
import { scanTable } from "../core/table-runs.ts";
import { createKernels } from "./index.ts";

const kernels = createKernels();

describe("zeroUnits", () => {
  it("equals a byte loop", () => {
    const units = fc.constantFrom(64, 100, 512, 4096, 65_536);
    fc.assert(
      fc.property(units, fc.nat(140_000), fc.array(fc.nat(140_000), { maxLength: 6 }), (unit, length, marks) => {
        const data = new Uint8Array(length);
        for (const mark of marks) if (mark < length) data[mark] = 1 << (mark % 8);
        kernels.input.set(data);
        kernels.input[length] = 1;
        const expected: number[] = [];
        for (let at = 0; at < length; at += unit) expected.push(data.subarray(at, at + unit).every((byte) => byte === 0) ? 1 : 0);
        expect([...kernels.zeroUnits(length, unit)]).toEqual(expected);
      }),
      { numRuns: 150 },
    );
  });
  it("sees a single bit at any place of a unit", () => {
    kernels.input.fill(0);
    for (let at = 0; at < 1100; at++) {
      kernels.input[at] = 128;
      expect([...kernels.zeroUnits(1100, 550)]).toEqual(at < 550 ? [0, 1] : [1, 0]);
      kernels.input[at] = 0;
    }
  });
  it("takes the whole region at the smallest sector", () => {
    kernels.input.fill(0);
    const zero = kernels.zeroUnits(kernels.input.length, 512);
    expect(zero.length).toBe(kernels.input.length / 512);
    expect(zero.every((flag) => flag === 1)).toBe(true);
  });
  it("refuses what does not fit", () => {
    expect(() => kernels.zeroUnits(kernels.input.length + 1, 512)).toThrow("kernels: length");
    expect(() => kernels.zeroUnits(1024, 1)).toThrow("kernels: the least unit");
    expect(() => kernels.zeroUnits(Number.NaN, 512)).toThrow("kernels: length");
  });
});

describe("compare", () => {
  it("finds the first difference", () => {
    const lengths = fc.oneof(fc.nat(70), fc.constantFrom(1 << 18, (1 << 18) + 1, 600_000));
    fc.assert(
      fc.property(lengths, fc.array(fc.nat(600_000), { maxLength: 3 }), (length, places) => {
        const a = Uint8Array.from({ length }, (_, i) => i);
        const b = a.slice();
        const inside = places.filter((place) => place < length);
        for (const place of inside) b[place] = (a[place] as number) ^ 1;
        expect(kernels.compare(a, b)).toBe(inside.length === 0 ? -1 : Math.min(...inside));
      }),
      { numRuns: 150 },
    );
  });
  it("a beginning differs where it ends", () => {
    expect(kernels.compare(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(2);
    expect(kernels.compare(new Uint8Array(0), new Uint8Array(0))).toBe(-1);
  });
});

describe("scanTable", () => {
  const layouts: fc.Arbitrary<TableLayout> = fc.record({
    entryBytes: fc.constantFrom(4 as const, 8 as const),
    endian: fc.constantFrom("le" as const, "be" as const),
    mask: fc.constantFrom(0xffffffffn, 0xffffffffffffffffn, 0x00fffffffffffe00n, 0xfffffffffff00000n, 0x7fn, 0n, -512n),
    scale: fc.constantFrom(1, 512, 65_536, 1 << 20, 0.5),
    base: fc.constantFrom(0, 512, 3 << 20, 2 ** 52),
    unit: fc.constantFrom(512, 4096, 65_536, 1 << 20),
    hole: fc.constantFrom(null, null, 0n, 0xffffffffn, 0xffffffffffffffffn, -1n, 1n << 64n),
    zero: fc.constantFrom(null, 1n, 0xfffffffen, -1n, (1n << 64n) + 1n),
    zeroBits: fc.constantFrom(0n, 1n, 2n, 1n << 63n, -1n << 62n),
    packedBits: fc.constantFrom(0n, 1n << 62n, 1n << 31n),
  });

  const bytesOf = (array: Uint8Array | Uint32Array | Float64Array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  const check = (table: Uint8Array, layout: TableLayout): void => {
    const before = Buffer.from(table);
    const [actual, expected] = [kernels.scanTable(table, layout), scanTable(table, layout)];
    expect(actual.length).toBe(expected.length);
    for (const field of ["kind", "first", "count", "at"] as const)
      if (!bytesOf(actual[field]).equals(bytesOf(expected[field]))) expect(actual[field], field).toEqual(expected[field]);
    expect(before.equals(table)).toBe(true);
  };
  const tableOf = (entries: readonly bigint[], { entryBytes, endian }: TableLayout): Uint8Array => {
    const view = new DataView(new ArrayBuffer(entries.length * entryBytes));
    entries.forEach((entry, i) => {
      if (entryBytes === 4) view.setUint32(i * 4, Number(BigInt.asUintN(32, entry)), endian === "le");
      else view.setBigUint64(i * 8, BigInt.asUintN(64, entry), endian === "le");
    });
    return new Uint8Array(view.buffer);
  };

  it("equals its twin on any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), layouts, check), { numRuns: 2000 });
  });

  it("equals its twin on tables with runs", () => {
    const entry = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(0n, 1n, 2n, 0xffffffffn, 0xfffffffen, (1n << 64n) - 1n, 1n << 63n, 1n << 62n, 1n << 31n) },
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.bigInt({ min: 0n, max: 4096n }),
    );
    const run = fc.record({ start: entry, step: fc.constantFrom(0n, 1n, 512n, 4096n, 65_536n), count: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 30 }), layouts, (runs, layout) => {
        const entries = runs.flatMap(({ start, step, count }) => Array.from({ length: count }, (_, i) => start + BigInt(i) * step));
        check(tableOf(entries, layout), layout);
      }),
      { numRuns: 1000 },
    );
  });

  it("joins runs across the parts that a large table is fed in", () => {
    const layout: TableLayout = {
      ...{ entryBytes: 8, endian: "be", mask: 0x00fffffffffffe00n, scale: 1, base: 0, unit: 65_536 },
      ...{ hole: null, zero: null, zeroBits: 1n, packedBits: 1n << 62n },
    };
    const contiguous = Array.from({ length: 20_000 }, (_, i) => BigInt(i + 1) * 65_536n);
    const whole = kernels.scanTable(tableOf(contiguous, layout), layout);
    expect(whole).toEqual({ ...whole, length: 1, first: Uint32Array.of(0), count: Uint32Array.of(20_000), at: Float64Array.of(65_536) });
    expect(whole.kind[0]).toBe(RUN_DATA);
    for (const border of [4095, 4096, 4097, 8192]) {
      const broken = contiguous.map((entry, i) => (i >= border ? entry + 512n : entry));
      check(tableOf(broken, layout), layout);
      check(
        tableOf(
          contiguous.map((entry, i) => (i % border === 0 ? 0n : entry)),
          layout,
        ),
        layout,
      );
    }
    const holes = new Uint8Array(100_000 * 8);
    check(holes, layout);
    check(holes.fill(0x40), layout);
  });

  it("ignores bytes after the last whole entry, and takes a table at an odd place", () => {
    const layout: TableLayout = {
      ...{ entryBytes: 4, endian: "le", mask: 0xffffffffn, scale: 512, base: 7, unit: 512 },
      ...{ hole: 0xffffffffn, zero: null, zeroBits: 0n, packedBits: 0n },
    };
    const bytes = Uint8Array.from({ length: 4099 }, (_, i) => (i % 4 === 1 ? i >>> 2 : 0));
    check(bytes.subarray(1), layout);
    check(bytes.subarray(0, 3), layout);
  });
});
