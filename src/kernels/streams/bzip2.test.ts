import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DiskError } from "../../core/errors.ts";
import { corpusFolder, judge } from "../../testing/judges.ts";
import { decoders, failure, noise, outcome, sameBytes, sometimesRestored, text, unpackStream, WHOLE } from "../../testing/streams.ts";
import { udifChunks } from "../../testing/udif.ts";
import { createBzip2Decoder, createBzip2Units } from "./bzip2.ts";
import { loadStreamDecoder, loadUnitDecoder } from "./index.ts";

const MIB = 1 << 20;
/** The bytes before BLOCK_CRC and behind it: the stream's header, the block's magic. */
const CRC_AT = 10;
const RANDOMISED_AT = 14;

const bzip2 = decoders(createBzip2Decoder);
const unpacked = (packed: Uint8Array, sizes = WHOLE): Uint8Array => unpackStream(bzip2(), packed, sizes).bytes;

/** Made by bzip2 -1 of these. */
const small = Buffer.from(`${Array.from({ length: 40 }, (_, i) => `${i} sectors, `).join("")}${"=".repeat(300)}`);
const packedSmall = Buffer.from(
  "QlpoMTFBWSZTWRxEdVUAADyZgMAkf+IKAJwAAAggAIkNQT9TT9VGhoMJKm/VQDRoGlElJVxN2i5vxiAoAAWAqAA222c+pELVrWlloQWjgQVZBVVVVVVRXOXypPAIagQuBD4CFwIZgQuBJRoXckU4UJAcRHVV",
  "base64",
);
const packedNothing = Buffer.from("425a683917724538509000000000", "hex");

const flipped = (packed: Buffer, bit: number): Buffer => {
  const copy = Buffer.from(packed);
  copy[bit >>> 3]! ^= 0x80 >>> (bit & 7);
  return copy;
};

describe("bzip2", () => {
  it("is what the loader gives", async () => {
    sameBytes(unpackStream(await loadStreamDecoder("bzip2"), packedSmall, WHOLE).bytes, small);
  });
  it.each([
    [1, 1],
    [1, MIB],
    [7, 10],
    [MIB, 1],
  ])("takes several streams, in steps of %d and %d bytes", (input, output) => {
    const packed = Buffer.concat([packedSmall, packedNothing, packedSmall, packedNothing]);
    const { bytes, end, remark } = unpackStream(bzip2(), packed, { input, output });
    sameBytes(bytes, Buffer.concat([small, small]));
    expect([end, remark]).toEqual([packed.length, null]);
  });
  it("remarks on other bytes behind a stream", () => {
    for (const tail of ["x", "BZx", "BZh0", `BY${"z".repeat(100_000)}`])
      for (const input of [1, MIB]) {
        const { bytes, remark } = unpackStream(bzip2(), Buffer.concat([packedSmall, Buffer.from(tail)]), { input, output: 100 });
        sameBytes(bytes, small);
        expect(remark).toContain(`from ${packedSmall.length} on`);
      }
  });
  it("refuses every truncation, where it is", () => {
    const whole = Buffer.concat([packedSmall, packedSmall]);
    for (let length = 0; length < whole.length; length++) {
      if (length === packedSmall.length) continue;
      for (const sizes of [WHOLE, { input: 3, output: 33 }])
        expect(failure(bzip2(), whole.subarray(0, length), sizes)).toMatchObject({ code: "corrupt", at: length });
    }
  });
  it("finds every flipped bit that matters", () => {
    const harmless: number[] = [];
    for (let bit = 0; bit < packedSmall.length * 8; bit++) {
      const result = outcome(bzip2(), flipped(packedSmall, bit), { input: 50, output: 70 });
      if (result instanceof Uint8Array) {
        sameBytes(result, small);
        harmless.push(bit);
      }
    }
    // Larger blocks are allowed than there are; bits of the tables that no code uses, and those that fill the last byte.
    expect(harmless.length).toBeLessThan(60);
  });
  it("names what is wrong and where", () => {
    const cases: [Buffer, string, number, RegExp][] = [
      [flipped(packedSmall, 3), "wrong-format", 0, /not a bzip2 file/],
      [flipped(packedSmall, 8 * 4), "corrupt", 4, /neither a block/],
      [flipped(packedSmall, 8 * CRC_AT), "corrupt", 4, /block's CRC is 0x9c447555, but its data gives 0x1c447555/],
      [flipped(Buffer.concat([packedSmall, packedSmall]), 8 * (packedSmall.length + CRC_AT)), "corrupt", packedSmall.length + 4, /CRC/],
      [flipped(packedSmall, 8 * packedSmall.length - 20), "corrupt", packedSmall.length - 4, /stream's CRC/],
    ];
    for (const [packed, code, at, message] of cases) {
      const error = failure(bzip2(), packed, { input: 10, output: 10 });
      expect([error.code, error.at]).toEqual([code, at]);
      expect(error.message).toMatch(message);
    }
  });
  it("survives noise", () => {
    for (let seed = 1; seed < 300; seed++) {
      const packed = Buffer.from(packedSmall);
      const bytes = noise(1 + (seed % 20), seed);
      bytes.copy(packed, 14 + (seed % 100));
      const result = outcome(bzip2(), packed, { input: 1000, output: 3000 });
      if (result instanceof Uint8Array) sameBytes(result, small);
    }
  });
});

describe("units of bzip2", () => {
  const decode = createBzip2Units();
  const failureOf = (packed: Uint8Array, size: number): DiskError => {
    try {
      decode(packed, size);
    } catch (error) {
      return error as DiskError;
    }
    throw new Error("unpacked");
  };
  it("gives exactly what is expected, whatever lies behind the stream or came before", async () => {
    sameBytes(decode(packedSmall, small.length), small);
    for (const size of [1, small.length - 1, small.length + 1, 64 * MIB])
      expect(failureOf(packedSmall, size)).toMatchObject({ code: "corrupt" });
    expect(failureOf(packedSmall.subarray(0, 100), small.length)).toMatchObject({ code: "corrupt", at: 100 });
    sameBytes(decode(Buffer.concat([packedSmall, noise(500), packedSmall]), small.length), small);
    sameBytes((await loadUnitDecoder("bzip2"))(Buffer.concat([packedSmall, packedSmall]), small.length), small);
  });
});

const program = judge("bzip2");
describe.skipIf(program === null)("bzip2 against the program", () => {
  const pack = (source: Uint8Array, level = 9): Buffer => Buffer.from(program!.bytes([`-${level}`, "-c"], { input: source }));
  /** What the program gives, or null. */
  const judged = (packed: Uint8Array): Uint8Array | null => {
    try {
      return program!.bytes(["-dc"], { input: packed });
    } catch {
      return null;
    }
  };
  const runs = Buffer.concat(Array.from({ length: 520 }, (_, i) => Buffer.alloc(i, i)));
  const mixture = Buffer.concat([text(150_000), Buffer.alloc(1_300_000), noise(300_000), runs, text(200_000, 9), Buffer.alloc(300, 1)]);

  it.each([1, 6, 9])("takes level %d", (level) => {
    const packed = pack(mixture, level);
    for (const sizes of [WHOLE, { input: 1000, output: 777 }, { input: 70_000, output: 100_000 }])
      sameBytes(unpacked(packed, sizes), mixture);
  });
  it("takes steps of a byte", () => {
    const source = Buffer.concat([text(20_000), runs.subarray(0, 9000), noise(2000)]);
    const packed = pack(source);
    for (const sizes of [
      { input: 1, output: 1 },
      { input: 1, output: MIB },
      { input: MIB, output: 1 },
    ])
      sameBytes(unpacked(packed, sizes), source);
  });
  it("takes any mixture", () => {
    const part = fc.oneof(
      fc.tuple(fc.nat(3000), fc.integer({ min: 1, max: 99 })).map(([n, seed]) => noise(n, seed)),
      fc.tuple(fc.nat(30_000), fc.integer({ min: 1, max: 99 })).map(([n, seed]) => text(n, seed)),
      fc.tuple(fc.nat(600), fc.nat(255)).map(([n, byte]) => Buffer.alloc(n, byte)),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const source = Buffer.concat(parts);
        sameBytes(unpacked(pack(source, 1), { input: 5000, output: 9000 }), source);
      }),
      { numRuns: 20 },
    );
  });
  it("takes randomised blocks, as versions before 0.9.5 wrote them", () => {
    // No run of four stands in it before or after bits are inverted, so none is shortened.
    const block = Buffer.concat(Array.from({ length: 200 }, (_, i) => Buffer.from(`${i * i} randomised bytes; `)));
    const target = pack(block, 1);
    target[RANDOMISED_AT]! |= 0x80;
    // The data's own CRC is not known here: the program and this decoder must agree on what they find instead.
    const error = failure(bzip2(), target, WHOLE);
    const sum = /its data gives 0x(\w+)/.exec(error.message)?.[1] ?? "";
    target.write(sum, CRC_AT, "hex");
    writeBits(target, target.length * 8 - paddingBits(target) - 32, Number.parseInt(sum, 16));
    const result = unpacked(target, { input: 10, output: 10 });
    sameBytes(result, judged(target)!);
    const inverted = [...result].map((byte, i) => byte ^ block[i]!);
    expect(new Set(inverted)).toEqual(new Set([0, 1]));
    sameBytes(unpacked(target, { input: 100, output: 10, between: sometimesRestored(bzip2, 5) }), result);
  });
  it("takes and refuses what the program does", () => {
    let taken = 0;
    for (let bit = 0; bit < packedSmall.length * 8; bit += 3) {
      const packed = flipped(packedSmall, bit);
      const expected = judged(packed);
      const result = outcome(bzip2(), packed, WHOLE);
      expect([bit, result instanceof Uint8Array]).toEqual([bit, expected !== null]);
      if (expected !== null) {
        sameBytes(result as Uint8Array, expected);
        taken++;
      }
    }
    expect(taken).toBeGreaterThan(0);
    for (const tail of ["", "B", "BZ", "BZh", "BZh9", "BZh0", "xx", "BZh91AY&SX"]) {
      const packed = Buffer.concat([packedSmall, Buffer.from(tail)]);
      expect([tail, outcome(bzip2(), packed, WHOLE) instanceof Uint8Array]).toEqual([tail, judged(packed) !== null]);
    }
  });
  it("goes on from a saved state at any place", () => {
    const packed = Buffer.concat([pack(mixture, 1), pack(text(9000)), pack(Buffer.alloc(200_000))]);
    const expected = Buffer.concat([mixture, text(9000), Buffer.alloc(200_000)]);
    fc.assert(
      fc.property(fc.integer({ min: 500, max: 90_000 }), fc.integer({ min: 10_000, max: 200_000 }), fc.nat(), (input, output, seed) => {
        sameBytes(unpacked(packed, { input, output, between: sometimesRestored(bzip2, seed + 1) }), expected);
      }),
      { numRuns: 8 },
    );
  });
});

const corpus = corpusFolder();
describe.skipIf(corpus === null)("bzip2 in real disk images", () => {
  it("unpacks the chunks of a DMG", () => {
    const decode = createBzip2Units();
    const image = readFileSync(join(corpus!, "files/node-udif/compression-bz2.dmg"));
    const chunks = udifChunks(image).filter(({ type }) => type === CHUNK_BZIP2);
    expect(chunks.length).toBeGreaterThan(0);
    for (const { packed, length } of chunks) sameBytes(decode(packed, length), unpacked(packed));
  });
});
const CHUNK_BZIP2 = 0x8000_0006;

/** Bits that fill the last byte: found from the magic at the end of the stream. */
function paddingBits(packed: Buffer): number {
  const tail = BigInt(`0x${packed.subarray(-11).toString("hex")}`);
  for (let bits = 0; bits < 8; bits++) if (((tail >> BigInt(bits + 32)) & 0xffff_ffff_ffffn) === 0x1772_4538_5090n) return bits;
  throw new Error("no end of the stream");
}
function writeBits(packed: Buffer, at: number, value: number): void {
  for (let i = 0; i < 32; i++) {
    const mask = 0x80 >>> ((at + i) & 7);
    const place = (at + i) >>> 3;
    packed[place] = (value >>> (31 - i)) & 1 ? packed[place]! | mask : packed[place]! & ~mask;
  }
}
