import { createHash } from "node:crypto";
import * as zlib from "node:zlib";
import * as fc from "fast-check";
import { createAdler32, createCRC32 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { createCompute } from "./compute.ts";
import { createKernels } from "./index.ts";

const kernels = createKernels();
const libraryCrc32 = await createCRC32();
const libraryCrc32c = await createCRC32(0x82f63b78);
const libraryAdler32 = await createAdler32();

const CHECKSUMS = [
  ["crc32", (bytes: Uint8Array, seed?: number) => kernels.crc32(bytes, seed), libraryCrc32, "cbf43926"],
  ["crc32c", (bytes: Uint8Array, seed?: number) => kernels.crc32c(bytes, seed), libraryCrc32c, "e3069283"],
  ["adler32", (bytes: Uint8Array) => kernels.adler32(bytes), libraryAdler32, "091e01de"],
] as const;

const noise = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 2_654_435_761) >>> 19);
const hex = (sum: number): string => sum.toString(16).padStart(8, "0");
/** Short, around steps of 16, around adler32's 5552, and past the 512 KiB that go through the arena at once. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  fc.uint8Array({ minLength: 5500, maxLength: 12_000 }),
  fc.constantFrom(0, 15, 16, 17, 5551, 5552, 5553, 11_104, 1 << 19, (1 << 19) + 1, 1_300_000).map(noise),
  fc.nat(40_000).map((length) => new Uint8Array(length).fill(255)),
);

describe.each(CHECKSUMS)("%s", (_name, kernel, library, check) => {
  it("of the check string", () => {
    expect(hex(kernel(new TextEncoder().encode("123456789")))).toBe(check);
  });
  it("equals the library's", () => {
    fc.assert(
      fc.property(bytes, (data) => {
        expect(hex(kernel(data))).toBe(library.init().update(data).digest("hex"));
      }),
      { numRuns: 150 },
    );
  });
  it("is the same for bytes inside the arena, at any alignment", () => {
    const data = noise(70_001);
    for (let shift = 0; shift < 17; shift++) {
      kernels.input.set(data, shift);
      expect(kernel(kernels.input.subarray(shift, shift + data.length))).toBe(kernel(data));
    }
  });
});

describe.each(CHECKSUMS.slice(0, 2))("%s of long inputs", (_name, kernel, library) => {
  // Folding begins at 8 KiB, goes on by 16 KiB, in groups of 64 bytes, and leaves the last 3.3 KiB or a little more.
  const edges = [8192, 16_384, 16_384 + 3264, 16_384 + 3392, 32_768 + 3264, 32_768 + 3392, 65_536];
  const lengths = edges.flatMap((edge) => [edge - 65, edge - 64, edge - 1, edge, edge + 1, edge + 15, edge + 63, edge + 64]);
  it.each([noise, (length: number) => new Uint8Array(length)])("equals the library's, in one part and in two", (make) => {
    for (const length of lengths) {
      const data = make(length);
      const expected = library.init().update(data).digest("hex");
      expect(hex(kernel(data))).toBe(expected);
      for (const cut of [1, 9000, length - 8192]) expect(hex(kernel(data.subarray(cut), kernel(data.subarray(0, cut))))).toBe(expected);
    }
  });
  it("one bit, at any distance from the end", () => {
    const data = new Uint8Array(24_000);
    for (let at = 0; at < data.length; at += 37) {
      data[at] = 1 << (at % 8);
      expect(hex(kernel(data))).toBe(library.init().update(data).digest("hex"));
      data[at] = 0;
    }
  });
});

it("crc32 and crc32c continue from a seed", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (data, cut) => {
      const [head, tail] = [data.subarray(0, cut), data.subarray(cut)];
      expect(kernels.crc32(tail, kernels.crc32(head))).toBe(kernels.crc32(data));
      expect(kernels.crc32c(tail, kernels.crc32c(head))).toBe(kernels.crc32c(data));
    }),
  );
});

it("adler32 of the worst case does not overflow", () => {
  const data = new Uint8Array(3 << 20).fill(255);
  const stream = zlib.deflateSync(data);
  expect(kernels.adler32(data)).toBe(stream.readUInt32BE(stream.length - 4));
});

describe.each(["sha1", "sha256"] as const)("%s", (name) => {
  const digest = (parts: readonly Uint8Array[]): string => {
    const hash = createCompute(kernels).hash(name);
    for (const part of parts) hash.update(part);
    return Buffer.from(hash.digest()).toString("hex");
  };
  const expected = (parts: readonly Uint8Array[]): string => createHash(name).update(Buffer.concat(parts)).digest("hex");

  it("at every length around the block and padding boundaries", () => {
    for (let length = 0; length <= 260; length++) expect(digest([noise(length)])).toBe(expected([noise(length)]));
  });
  it("fed in any parts, equals node:crypto", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }), (parts) => {
        expect(digest(parts)).toBe(expected(parts));
      }),
      { numRuns: 300 },
    );
  });
  it("of more than the arena takes at once", () => {
    const parts = [noise(37), noise(1_300_001), noise(64)];
    expect(digest(parts)).toBe(expected(parts));
  });
  it("two at once do not disturb each other, nor do other kernels", () => {
    const [a, b] = [kernels[name](), kernels[name]()];
    a.update(noise(100));
    b.update(noise(70));
    kernels.blake3Digest(noise(5000));
    a.update(noise(100));
    b.update(noise(70));
    expect(Buffer.from(a.digest()).toString("hex")).toBe(expected([noise(100), noise(100)]));
    expect(Buffer.from(b.digest()).toString("hex")).toBe(expected([noise(70), noise(70)]));
  });
});
