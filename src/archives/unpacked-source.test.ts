import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import type { ByteSource } from "../core/model.ts";
import { contextOf } from "../testing/image-harness.ts";
import { unpackedSource } from "./unpacked-source.ts";

const MIB = 1 << 20;
const SIZE = 300 * MIB;
/** Less than a piece of input. */
const packed = new Uint8Array(gzipSync(new Uint8Array(SIZE), { level: 9 }));

/** Reads as those of a file do: the event loop turns meanwhile. */
function slowSource(): ByteSource {
  const source = memorySource("zeros.gz", packed);
  const slow: ByteSource = {
    ...source,
    read: async (at, length, signal) => {
      await new Promise((resolve) => setImmediate(resolve));
      return source.read.call(slow, at, length, signal);
    },
  };
  return slow;
}

test("a cancel is heard while zeros are gone through that one read of the file gave", async () => {
  expect(packed.length).toBeLessThan(MIB);
  const abort = new AbortController();
  let seen = 0;
  const onUnpack = (): void => {
    // From outside, as a click comes; the event loop must turn for it to arrive.
    if (++seen === 1) setImmediate(() => abort.abort(new Error("enough")));
  };
  await expect(unpackedSource(slowSource(), "gzip", "zeros", { ...contextOf(), onUnpack, signal: abort.signal })).rejects.toThrow("enough");
  expect(seen).toBeLessThan(80);
});

test("a cancel is heard while a read goes a long way, after which others give the right bytes", async () => {
  const source = await unpackedSource(slowSource(), "gzip", "zeros", contextOf());
  const abort = new AbortController();
  const reading = source.read(0, 250 * MIB, abort.signal);
  setImmediate(() => setImmediate(() => abort.abort(new Error("enough"))));
  await expect(reading).rejects.toThrow("enough");
  expect((await source.read(100 * MIB, 9)).every((byte) => byte === 0)).toBe(true);
});
