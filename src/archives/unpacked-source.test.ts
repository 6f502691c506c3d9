import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import type { ByteSource, OpenContext } from "../core/model.ts";
import { contextOf } from "../testing/image-harness.ts";
import { readTar } from "./tar.ts";
import { TAR_END_BYTES, tarHeader } from "./tar-writer.ts";
import { unpackedSource } from "./unpacked-source.ts";

const MIB = 1 << 20;
const SIZE = 300 * MIB;
/** Less than a piece of input. */
const packed = new Uint8Array(gzipSync(new Uint8Array(SIZE).fill(7), { level: 9 }));

/** Reads as those of a file do: the event loop turns meanwhile. */
function slowSource(): ByteSource {
  const source = memorySource("sevens.gz", packed);
  const slow: ByteSource = {
    ...source,
    read: async (at, length, signal) => {
      await new Promise((resolve) => setImmediate(resolve));
      return source.read.call(slow, at, length, signal);
    },
  };
  return slow;
}

test("a cancel is heard while bytes are gone through that one read of the file gave", async () => {
  expect(packed.length).toBeLessThan(MIB);
  const abort = new AbortController();
  let seen = 0;
  const onUnpack = (): void => {
    // From outside, as a click comes; the event loop must turn for it to arrive.
    if (++seen === 1) setImmediate(() => abort.abort(new Error("enough")));
  };
  await expect(unpackedSource(slowSource(), "gzip", "sevens", { ...contextOf(), onUnpack, signal: abort.signal })).rejects.toThrow(
    "enough",
  );
  expect(seen).toBeLessThan(80);
});

test("a cancel is heard while a read goes a long way, after which others give the right bytes", async () => {
  const source = await unpackedSource(slowSource(), "gzip", "sevens", contextOf());
  const abort = new AbortController();
  const reading = source.read(0, 250 * MIB, abort.signal);
  setImmediate(() => setImmediate(() => abort.abort(new Error("enough"))));
  await expect(reading).rejects.toThrow("enough");
  expect((await source.read(100 * MIB, 9)).every((byte) => byte === 7)).toBe(true);
});

/** Tells how many bytes were decoded. */
function countingContext(): { readonly context: OpenContext; readonly decoded: () => number } {
  const context = contextOf();
  let decoded = 0;
  const compute = {
    ...context.compute,
    async streamDecoder(codec: Parameters<OpenContext["compute"]["streamDecoder"]>[0]) {
      const decoder = await context.compute.streamDecoder(codec);
      const step = decoder.step.bind(decoder);
      decoder.step = (input, last, output) => {
        const result = step(input, last, output);
        decoded += result.given;
        return result;
      };
      return decoder;
    },
  };
  return { context: { ...context, compute }, decoded: () => decoded };
}

test("zeros are decoded once, when the stream is opened, and known from then on", async () => {
  const plain = new Uint8Array(64 * MIB + 3);
  plain.fill(9, 40 * MIB - 1, 41 * MIB + 1);
  plain[plain.length - 1] = 1;
  const { context, decoded } = countingContext();
  const source = await unpackedSource(memorySource("a.gz", new Uint8Array(gzipSync(plain))), "gzip", "a", context);
  expect(decoded()).toBe(plain.length);
  expect([...source.dataRanges!(0, source.size)]).toEqual([
    { start: 39 * MIB, length: 3 * MIB },
    { start: 64 * MIB, length: 3 },
  ]);
  expect([...source.dataRanges!(39 * MIB + 5, MIB)]).toEqual([{ start: 39 * MIB + 5, length: MIB }]);
  expect([...source.dataRanges!(MIB, 38 * MIB)]).toEqual([]);
  expect(Buffer.from(await source.read(0, source.size)).equals(plain)).toBe(true);
  expect(decoded()).toBe(plain.length); // its data are few enough to be kept
});

test("a member of a packed archive knows of its zeros, at its own places", async () => {
  const disk = new Uint8Array(8 * MIB);
  disk[3 * MIB] = 1;
  disk[5 * MIB - 1] = 1; // 512 bytes later in the archive: in the MiB after
  const archive = Buffer.concat([
    tarHeader("a", 512),
    new Uint8Array(512).fill(1),
    tarHeader("disk.raw", disk.length),
    disk,
    new Uint8Array(TAR_END_BYTES),
  ]);
  const source = await unpackedSource(memorySource("a.tgz", new Uint8Array(gzipSync(archive))), "gzip", "a.tar", contextOf());
  const member = (await readTar(source))[1]!;
  const opened = (await member.open()).source;
  const before = 3 * 512;
  expect([...opened.dataRanges!(0, opened.size)]).toEqual([
    { start: 0, length: MIB - before },
    { start: 3 * MIB - before, length: MIB },
    { start: 5 * MIB - before, length: MIB },
  ]);
  expect([...opened.dataRanges!(3 * MIB, 4)]).toEqual([{ start: 3 * MIB, length: 4 }]);
  expect(Buffer.from(await opened.read(0, opened.size)).equals(disk)).toBe(true);
});

test("reads anywhere, in any order, past what is kept", async () => {
  const plain = new Uint8Array(80 * MIB + 777);
  // Every other window from the second on holds its own number.
  for (let window = 1; window <= 80; window += 2) plain[window * MIB + (window % 700)] = window;
  plain.fill(5, 10 * MIB, 50 * MIB);
  const source = await unpackedSource(memorySource("a.gz", new Uint8Array(gzipSync(plain, { level: 1 }))), "gzip", "a", contextOf());
  const place = fc.record({ at: fc.nat(plain.length - 1), length: fc.integer({ min: 1, max: 3 * MIB }) });
  const reads = fc.array(place, { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(reads, async (list) => {
      for (const { at, length } of list) {
        const count = Math.min(length, plain.length - at);
        expect(Buffer.from(await source.read(at, count)).equals(plain.subarray(at, at + count))).toBe(true);
        let end = at;
        for (const range of source.dataRanges!(at, count)) {
          expect(plain.subarray(end, range.start).every((byte) => byte === 0)).toBe(true);
          expect(range.length).toBeGreaterThan(0);
          end = range.start + range.length;
        }
        expect(end).toBeLessThanOrEqual(at + count);
        expect(plain.subarray(end, at + count).every((byte) => byte === 0)).toBe(true);
      }
    }),
    { numRuns: 12 },
  );
});

test("a window that is decoded again while it is kept is not written over by the next", async () => {
  const plain = new Uint8Array(60 * MIB);
  for (let window = 0; window < 60; window++) plain.fill(window + 1, window * MIB, (window + 1) * MIB);
  const source = await unpackedSource(memorySource("a.gz", new Uint8Array(gzipSync(plain, { level: 1 }))), "gzip", "a", contextOf());
  const first = async (window: number) => (await source.read(window * MIB, 1))[0];
  // 24 are kept. 9 is one of them, asked for in between, when 10 is wanted again: on the way there it is decoded anew, from the state at 8.
  const upTo = (from: number, end: number) => Array.from({ length: end - from }, (_, i) => from + i);
  for (const window of [10, ...upTo(11, 20), 9, ...upTo(20, 34), 10, 9]) expect(await first(window)).toBe(window + 1);
});
