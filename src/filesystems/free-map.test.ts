import { expect, test } from "vitest";
import { PageCache, type Part, PartPages } from "./free-map.ts";

const PAGE = 64 << 10;
const KEPT = 256;

/** Partitions whose bytes are their numbers, and how often a page of each was read. */
function partsOf(count: number, pages: number, cache: PageCache | undefined) {
  const reads = new Array<number>(count).fill(0);
  const parts = reads.map(
    (_, i): Part => ({
      name: `Partition ${i}`,
      length: pages * PAGE,
      async read(_at, length) {
        reads[i]!++;
        return new Uint8Array(length).fill(i);
      },
      ...(cache && { cache }),
    }),
  );
  return { reads, pages: parts.map((part) => new PartPages(part)) };
}

test("partitions that share a cache keep no more than one of them alone", async () => {
  const { reads, pages } = partsOf(8, KEPT / 2, new PageCache());
  for (const part of pages) for (let page = 0; page < KEPT / 2; page++) await part.bytes(page * PAGE, 1);
  expect(reads).toEqual(new Array(8).fill(KEPT / 2));
  // The last two fill it: only these need not be read again.
  for (const part of pages.toReversed()) for (let page = 0; page < KEPT / 2; page++) await part.bytes(page * PAGE, 1);
  expect(reads).toEqual([...new Array(6).fill(KEPT), KEPT / 2, KEPT / 2]);
});

test("pages of one number are not taken for each other", async () => {
  const { pages } = partsOf(200, 3, new PageCache());
  for (const at of [0, PAGE, 2 * PAGE + 5]) for (const [i, part] of pages.entries()) expect([...(await part.bytes(at, 2))]).toEqual([i, i]);
});

test("without a shared cache each keeps its own", async () => {
  const { reads, pages } = partsOf(4, KEPT, undefined);
  for (let round = 0; round < 2; round++)
    for (const part of pages) for (let page = 0; page < KEPT; page++) await part.bytes(page * PAGE, 1);
  expect(reads).toEqual([KEPT, KEPT, KEPT, KEPT]);
});
