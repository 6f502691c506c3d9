import * as fc from "fast-check";
import { createBLAKE3 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { blake3, chainingValue } from "./blake3-twin.ts";
import { createKernels, HASH_BYTES, PIECE_BYTES } from "./index.ts";

const kernels = createKernels();
const library = await createBLAKE3();

const CHUNK = 1024;
/** Around every place where the shape of the tree or of the last block changes. */
const LENGTHS = [
  ...[0, 1, 63, 64, 65, 127, 128, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073, 4096, 4097, 5120, 6144, 7168, 8192, 8193],
  ...[16_384, 31_744, 65_024, 65_535, 65_536, 65_537, 66_048, 131_072, 196_608, 200_000],
];

/** The pattern of BLAKE3's official test vectors. */
const pattern = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => i % 251);
const fill = (bytes: Uint8Array, at = 0): void => kernels.input.set(bytes, at);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const libraryDigest = (bytes: Uint8Array): string => library.init().update(bytes).digest("hex");

/** First chunk numbers, aligned to pieces, up to the end of the largest disk that 2^53 bytes allow; some cross 2^32. */
const firstChunks = fc.oneof(
  fc.constantFrom(0, 64, 2 ** 32 - 64, 2 ** 32, 2 ** 32 + 64, 2 ** 43 - 128),
  fc.nat(2 ** 31 - 1).map((n) => n * 64),
);

describe("blake3", () => {
  it.each(LENGTHS)("digest of %i bytes equals the library's and the twin's", (length) => {
    const message = pattern(length);
    expect(hex(kernels.blake3Digest(message))).toBe(libraryDigest(message));
    expect(hex(blake3(message))).toBe(libraryDigest(message));
  });

  it("digest of any bytes equals the library's", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 9000 }), (message) => {
        expect(hex(kernels.blake3Digest(message))).toBe(libraryDigest(message));
      }),
      { numRuns: 200 },
    );
  });

  it("digest of 2 MiB in place", () => {
    const message = pattern(2 << 20);
    fill(message);
    expect(hex(kernels.blake3Digest(kernels.input.subarray(0, message.length)))).toBe(libraryDigest(message));
  });

  it("chaining values equal the twin's, wherever the piece lies on the disk", () => {
    const one = fc.integer({ min: 1, max: 3 * PIECE_BYTES });
    fc.assert(
      fc.property(
        fc.oneof(one, fc.constantFrom(...LENGTHS.slice(1))),
        firstChunks,
        fc.nat(255),
        fc.nat(3),
        (length, firstChunk, seed, at) => {
          const bytes = Uint8Array.from({ length }, (_, i) => (Math.imul(i + seed, 2_654_435_761) >>> 13) & 255);
          fill(bytes, at * 512);
          const hashes = kernels.blake3Pieces(at * 512, length, firstChunk);
          const expected: string[] = [];
          for (let piece = 0; piece * PIECE_BYTES < length; piece++)
            expected.push(hex(chainingValue(bytes.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES), firstChunk + piece * 64)));
          expect(hex(hashes)).toBe(expected.join(""));
        },
      ),
      { numRuns: 25 },
    );
  });

  it("the same bytes at another place have another chaining value, also 2^32 chunks away", () => {
    fill(pattern(PIECE_BYTES));
    const places = [0, 64, 2 ** 32, 2 ** 33, 2 ** 40];
    expect(new Set(places.map((first) => hex(kernels.blake3Pieces(0, PIECE_BYTES, first)))).size).toBe(places.length);
  });

  it("chaining values of zeros equal those of zeros in memory, at every chunk count and with a short last chunk", () => {
    const lengths = [...Array.from({ length: 128 }, (_, i) => (i + 1) * 512), ...LENGTHS.slice(1), PIECE_BYTES + 512, 5 * PIECE_BYTES];
    kernels.input.fill(0, 0, 6 * PIECE_BYTES);
    for (const length of lengths)
      for (const first of [0, 2 ** 32 - 64])
        expect(hex(kernels.blake3ZeroPieces(length, first))).toBe(hex(kernels.blake3Pieces(0, length, first).slice()));
  });

  it("the short-length digests leave nothing behind for the next", () => {
    const long = kernels.blake3Digest(pattern(5000)).slice();
    kernels.blake3Digest(new Uint8Array(100).fill(255));
    expect(hex(kernels.blake3Digest(pattern(1)))).toBe(libraryDigest(pattern(1)));
    expect(hex(kernels.blake3Digest(pattern(5000)))).toBe(hex(long));
  });

  it("pieces, parents and root make up the digest", () => {
    const message = pattern(3 * PIECE_BYTES + 700);
    fill(message);
    const cv = kernels.blake3Pieces(0, message.length, 0).slice();
    const pair = (a: Uint8Array, b: Uint8Array) => Uint8Array.of(...a, ...b);
    const at = (i: number) => cv.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES);
    const left = kernels.blake3Parent(pair(at(0), at(1))).slice();
    const right = kernels.blake3Parent(pair(at(2), at(3))).slice();
    expect(hex(kernels.blake3Root(pair(left, right)))).toBe(libraryDigest(message));
  });

  it("refuses a length past its region", () => {
    expect(() => kernels.blake3Pieces(0, kernels.input.length + 1, 0)).toThrow("kernels: length");
    expect(() => kernels.blake3Pieces(CHUNK, kernels.input.length, 0)).toThrow("kernels: length");
    expect(() => kernels.blake3Digest(new Uint8Array((1 << 19) + 1))).toThrow("kernels: message length");
  });
});
