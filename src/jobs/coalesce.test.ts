import fc from "fast-check";
import { expect, test } from "vitest";
import { joined, totalLength } from "../core/bytes.ts";
import type { Write } from "../core/target.ts";
import { coalesce, type JoinedWrite, withoutZeros } from "./coalesce.ts";

const apply = (writes: Iterable<Write>, size: number): Uint8Array => {
  const file = new Uint8Array(size);
  for (const { at, bytes } of writes) file.set(bytes, at);
  return file;
};

const applyJoined = (writes: readonly JoinedWrite[], size: number): Uint8Array => {
  const file = new Uint8Array(size);
  for (const { at, parts, length } of writes) {
    expect(length).toBe(totalLength(parts));
    file.set(joined(parts), at);
  }
  return file;
};

test("what is written stays the same, in fewer writes", () => {
  const piece = fc.record({ gap: fc.constantFrom(0, 0, 0, 7), length: fc.integer({ min: 0, max: 40 }), shared: fc.boolean() });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const buffer = Uint8Array.from({ length: 4096 }, (_, i) => (i % 255) + 1);
      const writes: Write[] = [];
      let at = 0;
      let from = 0;
      for (const { gap, length, shared } of pieces) {
        at += gap;
        const view = buffer.subarray(from, from + length);
        writes.push({ file: 0, at, bytes: shared ? view : view.slice() });
        at += length;
        from += length;
      }
      const fewer = [...coalesce(writes)];
      expect(applyJoined(fewer, at)).toEqual(apply(writes, at));
      const gaps = writes.filter((write, i) => i > 0 && write.at !== (writes[i - 1] as Write).at + (writes[i - 1] as Write).bytes.length);
      expect(fewer.length).toBeLessThanOrEqual(gaps.length + 1);
    }),
  );
});

test("nothing is copied: neighbours in one buffer are one part, others a part each", () => {
  const buffer = new Uint8Array(300);
  const other = new Uint8Array(10);
  const views = [0, 100, 200].map((at) => ({ file: 0, at, bytes: buffer.subarray(at, at + 100) }));
  const [write] = coalesce([...views, { file: 0, at: 300, bytes: other }]);
  expect(write?.parts.map((part) => [part.buffer, part.length])).toEqual([
    [buffer.buffer, 300],
    [other.buffer, 10],
  ]);
});

test("a part that grows large stands alone from then on", () => {
  const table = { file: 0, at: 0, bytes: new Uint8Array(512) };
  const buffer = new Uint8Array(3 << 20);
  const clusters = Array.from({ length: 48 }, (_, i) => ({
    file: 0,
    at: 512 + i * 65536,
    bytes: buffer.subarray(i * 65536, (i + 1) * 65536),
  }));
  const found = [...coalesce([table, ...clusters])].map(({ at, parts, length }) => [at, parts.length, length]);
  expect(found).toEqual([
    [0, 1, 512],
    [512, 1, buffer.length],
  ]);
});

test("files are kept apart, large parts stand alone, and what is joined has a limit", () => {
  const large = new Uint8Array(1 << 20);
  const small = new Uint8Array(10);
  const apart = [
    { file: 0, at: 0, bytes: large },
    { file: 0, at: large.length, bytes: small },
    { file: 1, at: large.length + 10, bytes: small },
  ];
  const found = [...coalesce(apart)].map(({ file, at, parts: [only, ...others] }) => [file, at, only === apart[0]?.bytes, others.length]);
  expect(found).toEqual(apart.map(({ file, at }, i) => [file, at, i === 0, 0]));
  const half = 1 << 19;
  const many = Array.from({ length: 20 }, (_, i) => ({ file: 0, at: i * half, bytes: new Uint8Array(half) }));
  expect([...coalesce(many)].map(({ parts }) => parts.length)).toEqual([8, 8, 4]);
});

test("zero pieces of large writes are left out, and nothing else", () => {
  const piece = 64 << 10;
  const pieces = fc.array(fc.constantFrom("zero", "first", "last", "full"), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(pieces, fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 700 }), (kinds, shift, tail) => {
      const backing = new Uint8Array(shift + kinds.length * piece + tail);
      const bytes = backing.subarray(shift);
      for (const [i, kind] of kinds.entries()) {
        if (kind === "first") bytes[i * piece] = 1;
        if (kind === "last") bytes[(i + 1) * piece - 1] = 1;
        if (kind === "full") bytes.fill(0x80, i * piece, (i + 1) * piece);
      }
      const left = [...withoutZeros([{ file: 0, at: 1000, bytes }])];
      expect(Buffer.compare(apply(left, 1000 + bytes.length), apply([{ file: 0, at: 1000, bytes }], 1000 + bytes.length))).toBe(0);
      const expected = kinds.filter((kind) => kind !== "zero").length * piece;
      if (bytes.length > piece) expect(left.reduce((sum, write) => sum + write.bytes.length, 0)).toBeLessThanOrEqual(expected + tail);
    }),
    { numRuns: 60 },
  );
});
