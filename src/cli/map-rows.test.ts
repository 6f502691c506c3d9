import fc from "fast-check";
import { expect, test } from "vitest";
import type { Run } from "../core/block-map.ts";
import { memorySource } from "../core/bytes.ts";
import type { Volume } from "../core/model.ts";
import { createMapRows } from "./map-rows.ts";

/** Names that must not steer the terminal, and one that two volumes share. */
const NAMES = ['a"\u0007\u009bb.vmdk', "same.vmdk", "ü.vmdk"];
const chain = [0, 1, 2].map((volume) => {
  const files = [NAMES[volume] as string, "same.vmdk"].map((name) => memorySource(name, new Uint8Array(0)));
  return { files, encrypted: volume === 2 } as unknown as Volume;
});

/** Contiguous runs up to 2^53, of every kind; volume 3: none holds anything. */
const runs: fc.Arbitrary<readonly Run[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom("raw", "packed", "zero", "hole"),
      volume: fc.nat(2),
      file: fc.nat(1),
      length: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 2 ** 45 })),
      at: fc.option(fc.oneof(fc.nat(100), fc.nat(2 ** 52))),
    }),
    { maxLength: 60 },
  )
  .map((list) => {
    let start = 0;
    let next = 0;
    return list.map(({ kind, volume, file, length, at: jump }): Run => {
      const at = jump ?? next;
      const place = { start, length };
      start += length;
      next = at + length;
      if (kind === "hole") return { volume: 3, extent: { kind: "zero", ...place, allocated: false } };
      if (kind === "zero") return { volume, extent: { kind, ...place, allocated: true } };
      if (kind === "raw") return { volume, extent: { kind, ...place, file, at } };
      return { volume, extent: { kind: "packed", ...place, file, at, packed: 9, skip: 0, codec: "deflate", unpacked: 9 } };
    });
  });

interface Entry {
  start: number;
  length: number;
  depth: number;
  present: boolean;
  zero: boolean;
  data: boolean;
  file?: string | undefined;
  compressed: boolean;
  offset?: number;
}

/** One after the other, as objects. */
function plainEntries(list: readonly Run[]): Entry[] {
  const entries: Entry[] = [];
  for (const { volume, extent } of list) {
    const { start, length } = extent;
    const depth = Math.min(volume, 2);
    const files = chain[volume]?.files ?? [];
    let next: Entry;
    if (extent.kind === "zero") {
      const file = extent.allocated ? files[0]?.name : undefined;
      next = { start, length, depth, present: extent.allocated, zero: true, data: false, compressed: false, file };
    } else {
      const compressed = extent.kind === "packed";
      next = { start, length, depth, present: true, zero: false, data: true, file: files[extent.file]?.name, compressed };
      if (!compressed && volume !== 2) next.offset = extent.at;
    }
    const last = entries.at(-1);
    const alike = last && (["depth", "present", "zero", "compressed", "file"] as const).every((field) => last[field] === next[field]);
    const follows = last?.offset === undefined ? next.offset === undefined : next.offset === last.offset + last.length;
    if (last && alike && follows) last.length += length;
    else entries.push(next);
  }
  return entries;
}

function printed(list: readonly Run[], json: boolean): string {
  const pages: Buffer[] = [];
  const rows = createMapRows(chain, json, (bytes) => pages.push(Buffer.from(bytes)));
  for (let i = 0; i < list.length; i += 7) rows.add(list.slice(i, i + 7));
  rows.end();
  return Buffer.concat(pages).toString();
}
const shown = (text: string) => text.replaceAll(/\p{Cc}+/gu, " ");
const column = (value: number) => `0x${value.toString(16)}`.padEnd(16);

test("the same text as of objects, neighbours joined", () => {
  fc.assert(
    fc.property(runs, (list) => {
      const entries = plainEntries(list);
      const lines = entries.map((entry) => shown(JSON.stringify(entry)));
      expect(printed(list, true)).toBe(lines.length === 0 ? "[]\n" : `[${lines.join("\n,")}\n]\n`);
      const data = entries
        .filter((entry) => entry.data)
        .map(({ start, length, offset, compressed, file }) => {
          const place = offset === undefined ? (compressed ? "packed" : "encrypted").padEnd(16) : column(offset);
          return `${column(start)}${column(length)}${place}${shown(file ?? "")}\n`;
        });
      expect(printed(list, false)).toBe(`Offset          Length          Mapped to       File\n${data.join("")}`);
    }),
    { numRuns: 300 },
  );
});

test("more than a page", () => {
  const list = Array.from(
    { length: 5000 },
    (_, i): Run => ({ volume: 1, extent: { kind: "raw", start: i, length: 1, file: 0, at: 2 * i } }),
  );
  expect(JSON.parse(printed(list, true))).toEqual(plainEntries(list));
});

test("a page is used again when it has been printed, not before", () => {
  const list = Array.from({ length: 20_000 }, (_, i): Run => {
    const place = { start: i * 4096, length: 4096 };
    return { volume: i % 2, extent: { kind: "raw", ...place, file: 0, at: i * 8192 } };
  });
  const printed = (late: number) => {
    const waiting: (() => void)[] = [];
    const pages = new Set<ArrayBufferLike>();
    const out: Buffer[] = [];
    const rows = createMapRows(chain, true, (bytes, done) => {
      pages.add(bytes.buffer);
      waiting.push(() => {
        out.push(Buffer.from(bytes));
        done();
      });
      if (waiting.length > late) waiting.shift()?.();
    });
    rows.add(list);
    rows.end();
    for (const write of waiting) write();
    return { text: Buffer.concat(out), pages: pages.size, writes: out.length };
  };
  const [soon, late] = [printed(0), printed(2)];
  expect(soon.writes).toBeGreaterThan(6);
  expect([soon.pages, late.pages]).toEqual([1, 3]);
  expect(soon.text.equals(late.text)).toBe(true);
  expect(JSON.parse(soon.text.toString())).toHaveLength(list.length);
});
