import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { createBLAKE3 } from "hash-wasm";
import { afterAll, describe, expect, it } from "vitest";
import { createHasher, pieceHashes, zeroHashes } from "./disk-hash.ts";
import { createKernels, PIECE_BYTES } from "./index.ts";

const kernels = createKernels();
const hasher = createHasher(kernels);
const library = await createBLAKE3();
const folder = mkdtempSync(join(tmpdir(), "spindle-disk-hash-"));
afterAll(() => rmSync(folder, { recursive: true }));

const hasB3sum = (() => {
  try {
    return execFileSync("b3sum", ["--version"]).length > 0;
  } catch {
    return false;
  }
})();

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Pieces by number; each is filled with its byte. What is missing is zero. */
type Pieces = ReadonlyMap<number, number>;
const lengthOf = (piece: number, size: number): number => Math.min(PIECE_BYTES, size - piece * PIECE_BYTES);

function addPieces(size: number, pieces: Pieces, between: (hash: ReturnType<typeof hasher.disk>) => void = () => undefined) {
  const hash = hasher.disk(size);
  for (const [piece, byte] of [...pieces].sort(([a], [b]) => a - b)) {
    between(hash);
    const length = lengthOf(piece, size);
    kernels.input.fill(byte, 0, length);
    hash.add(piece * PIECE_BYTES, pieceHashes(kernels, 0, length, piece * PIECE_BYTES, size));
  }
  return hash;
}
/** Fills the gaps, `budget` bytes at a time (whole pieces). */
function fillGaps(hash: ReturnType<typeof hasher.disk>, size: number, budget: number): void {
  const step = Math.max(1, Math.floor(budget / PIECE_BYTES)) * PIECE_BYTES;
  for (const { start, length } of hash.gaps)
    for (let at = 0; at < length; at += step)
      hash.fill(zeroHashes(kernels, [{ start: start + at, length: Math.min(step, length - at) }], size));
}

function wholeDisk(size: number, pieces: Pieces): Uint8Array {
  const disk = new Uint8Array(size);
  for (const [piece, byte] of pieces) disk.fill(byte, piece * PIECE_BYTES, piece * PIECE_BYTES + lengthOf(piece, size));
  return disk;
}

/** Sizes in sectors, around whole pieces and powers of two; then which pieces hold data. */
const disks = fc
  .oneof(fc.integer({ min: 1, max: 40 * 128 }), fc.constantFrom(1, 127, 128, 129, 255, 256, 257, 512, 1024, 2048, 2049, 4096))
  .map((sectors) => sectors * 512)
  .chain((size) => {
    const piece = fc.nat(Math.ceil(size / PIECE_BYTES) - 1);
    return fc.record({
      size: fc.constant(size),
      pieces: fc.array(fc.tuple(piece, fc.integer({ min: 1, max: 255 })), { maxLength: 40 }).map((list) => new Map(list)),
      budget: fc.constantFrom(1, PIECE_BYTES, 3 * PIECE_BYTES, 1 << 30),
    });
  });

describe("disk hash", () => {
  it("equals the library's BLAKE3 of the whole disk, whether or not gaps are filled between the pieces", () => {
    fc.assert(
      fc.property(disks, fc.boolean(), ({ size, pieces, budget }, often) => {
        const hash = addPieces(size, pieces, often ? (h) => fillGaps(h, size, budget) : undefined);
        hash.end();
        fillGaps(hash, size, budget);
        expect(hex(hash.finish())).toBe(library.init().update(wholeDisk(size, pieces)).digest("hex"));
      }),
      { numRuns: 150 },
    );
  });

  it("gaps are those ahead of the last piece, then all of them; one fill may end several", () => {
    const size = 64 * PIECE_BYTES + 512;
    const pieces = new Map([
      [3, 7],
      [40, 1],
    ]);
    const hash = addPieces(size, pieces);
    const whole = (first: number, count: number) => ({ start: first * PIECE_BYTES, length: count * PIECE_BYTES });
    expect(hash.gaps).toEqual([whole(0, 3), whole(4, 36)]);
    hash.end();
    const rest = { start: 41 * PIECE_BYTES, length: 23 * PIECE_BYTES + 512 };
    expect(hash.gaps).toEqual([whole(0, 3), whole(4, 36), rest]);
    expect(() => hash.finish()).toThrow("before the end");
    hash.fill(zeroHashes(kernels, [whole(0, 3), whole(4, 6)], size));
    expect(hash.gaps).toEqual([whole(10, 30), rest]);
    hash.fill(zeroHashes(kernels, [whole(10, 30), rest], size));
    expect(hash.gaps).toEqual([]);
    expect(() => hash.fill(new Uint8Array(32))).toThrow("more zeros than wait");
    expect(hex(hash.finish())).toBe(library.init().update(wholeDisk(size, pieces)).digest("hex"));
  });

  it("many gaps that wait", () => {
    const size = 3000 * PIECE_BYTES;
    const pieces = new Map(Array.from({ length: 100 }, (_, i) => [i * 29 + 20, i + 1]));
    const hash = addPieces(size, pieces);
    hash.end();
    hash.fill(zeroHashes(kernels, hash.gaps, size));
    const judge = library.init();
    for (let piece = 0; piece < 3000; piece++) judge.update(new Uint8Array(PIECE_BYTES).fill(pieces.get(piece) ?? 0));
    expect(hex(hash.finish())).toBe(judge.digest("hex"));
  });

  it("digest is plain BLAKE3", () => {
    expect(hex(hasher.digest(new TextEncoder().encode("abc")))).toBe("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
  });

  it("refuses pieces out of order, outside the disk, or off the grid", () => {
    const cv = new Uint8Array(32);
    const hash = hasher.disk(4 * PIECE_BYTES);
    hash.add(2 * PIECE_BYTES, cv);
    for (const at of [2 * PIECE_BYTES, 0, 4 * PIECE_BYTES, 3 * PIECE_BYTES + 512, -PIECE_BYTES, Number.NaN])
      expect(() => hash.add(at, cv)).toThrow("out of order");
    expect(() => hash.finish()).toThrow("before the end");
    hash.end();
    expect(() => hash.add(3 * PIECE_BYTES, cv)).toThrow("out of order");
    for (const size of [0, -512, Number.NaN, 2 ** 53]) expect(() => hasher.disk(size)).toThrow("hash: a disk of");
  });

  const MIB = 1 << 20;
  const sparse = [
    ["one sector", 512, []],
    ["64 KiB of zeros", PIECE_BYTES, []],
    ["64 KiB of data", PIECE_BYTES, [0]],
    ["a sector more than a piece", PIECE_BYTES + 512, [0]],
    ["data in the short last piece only", 3 * PIECE_BYTES + 1024, [3]],
    ["200 MiB of zeros", 200 * MIB, []],
    ["256 MiB with data at both ends", 256 * MIB, [0, 4095]],
    ["320 MiB and a sector, scattered", 320 * MIB + 512, [5, 6, 7, 100, 2047, 2048, 4000, 5120]],
  ] as const;
  it.skipIf(!hasB3sum).each(sparse)("equals b3sum: %s", (_name, size, places) => {
    const pieces = new Map(places.map((piece) => [piece, (piece % 255) + 1]));
    const path = join(folder, "disk.raw");
    const file = openSync(path, "w");
    ftruncateSync(file, size);
    for (const [piece, byte] of pieces) writeSync(file, new Uint8Array(lengthOf(piece, size)).fill(byte), 0, null, piece * PIECE_BYTES);
    closeSync(file);
    const judge = execFileSync("b3sum", ["--no-names", "--num-threads", "1", path]).toString().trim();
    const hash = addPieces(size, pieces);
    hash.end();
    fillGaps(hash, size, 16 * MIB);
    expect(hex(hash.finish())).toBe(judge);
  });
});
