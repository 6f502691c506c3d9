import { crc32 } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { judge } from "../../testing/judges.ts";
import { decoders, failure, noise, outcome, sameBytes, sometimesRestored, text, unpackStream, WHOLE } from "../../testing/streams.ts";
import { loadStreamDecoder, loadUnitDecoder } from "./index.ts";
import { createXzDecoder, createXzUnits } from "./xz.ts";

const MIB = 1 << 20;
const HEADER = 12;
const FOOTER = 12;

const xz = decoders(createXzDecoder);
const unpacked = (packed: Uint8Array, sizes = WHOLE): Uint8Array => unpackStream(xz(), packed, sizes).bytes;

/** Made by xz --check=crc32 of these. */
const small = Buffer.from(`${Array.from({ length: 40 }, (_, i) => `${i} sectors, `).join("")}${"=".repeat(300)}`);
const packedSmall = Buffer.from(
  "/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AMBAFZdABgICua5qOlySmu4LmZZCWJU3YViyKcQmLjdS3dVo/GvyOC6LPp/0oAYg56MsjcPwdFx8zg9QAAu/U+nbvaqVmQg2kVG8o0bPFffyv7QO6rT5w6XHmAAAAAAeIRyIAABboIGAAAA2QbmHz4wDYsCAAAAAAFZWg==",
  "base64",
);
const packedNothing = Buffer.from("fd377a585a0000016922de36000000001cdf44219042990d010000000001595a", "hex");

const changed = (packed: Buffer, at: number, value: number): Buffer => {
  const copy = Buffer.from(packed);
  copy[at] = value;
  return copy;
};
const flipped = (packed: Buffer, bit: number): Buffer => changed(packed, bit >>> 3, packed[bit >>> 3]! ^ (1 << (bit & 7)));
/** With bytes of the Block Header changed and its CRC32 made right. */
function withHeader(packed: Buffer, bytes: Readonly<Record<number, number>>): Buffer {
  const copy = Buffer.from(packed);
  const end = HEADER + (copy[HEADER]! + 1) * 4 - 4;
  for (const [at, value] of Object.entries(bytes)) copy[HEADER + Number(at)] = value;
  copy.writeUInt32LE(crc32(copy.subarray(HEADER, end)), end);
  return copy;
}

describe("xz", () => {
  it("is what the loader gives", async () => {
    sameBytes(unpackStream(await loadStreamDecoder("xz"), packedSmall, WHOLE).bytes, small);
  });
  it.each([
    [1, 1],
    [1, MIB],
    [7, 10],
    [MIB, 1],
  ])("takes several streams and their padding, in steps of %d and %d bytes", (input, output) => {
    const packed = Buffer.concat([packedSmall, packedNothing, Buffer.alloc(8), packedSmall, packedNothing, Buffer.alloc(4)]);
    const { bytes, end, remark } = unpackStream(xz(), packed, { input, output });
    sameBytes(bytes, Buffer.concat([small, small]));
    expect([end, remark]).toEqual([packed.length, null]);
  });
  it("refuses every truncation, where it is", () => {
    const whole = Buffer.concat([packedSmall, packedSmall]);
    for (let length = 0; length < whole.length; length++) {
      if (length === packedSmall.length) continue;
      for (const sizes of [WHOLE, { input: 3, output: 33 }])
        expect(failure(xz(), whole.subarray(0, length), sizes)).toMatchObject({ code: "corrupt", at: length });
    }
  });
  it("finds every flipped bit", () => {
    for (let bit = 0; bit < packedSmall.length * 8; bit++)
      expect([bit, outcome(xz(), flipped(packedSmall, bit), { input: 50, output: 70 })]).toEqual([bit, expect.any(DiskError)]);
  });
  it("names what is wrong and where", () => {
    const length = packedSmall.length;
    const index = length - FOOTER - 12;
    const check = index - 4;
    const data = HEADER + 12;
    const cases: [Buffer, string, number, RegExp][] = [
      [changed(packedSmall, 1, 0), "wrong-format", 0, /not an xz file/],
      [changed(packedSmall, 8, 0), "corrupt", 8, /CRC32 of the Stream Header/],
      [changed(packedSmall, HEADER + 9, 0), "corrupt", HEADER + 8, /CRC32 of the Block Header/],
      [withHeader(packedSmall, { 1: 0x04 }), "unsupported", HEADER + 1, /Block Flags/],
      [withHeader(packedSmall, { 2: 0x03 }), "unsupported", HEADER + 2, /last filter is 0x3/],
      [withHeader(packedSmall, { 4: 41 }), "corrupt", HEADER + 2, /dictionary size is 41/],
      [withHeader(packedSmall, { 4: 33 }), "limit", HEADER, /dictionary of 402653184 bytes/],
      [withHeader(packedSmall, { 7: 1 }), "unsupported", HEADER + 5, /padding/],
      [changed(packedSmall, data, 3), "corrupt", data, /control byte of a chunk is 0x3/],
      [changed(packedSmall, data, 0x80), "corrupt", data, /reset the dictionary/],
      [changed(packedSmall, data + 5, 225), "corrupt", data, /lc, lp and pb/],
      [changed(packedSmall, data + 6, 1), "corrupt", data, /does not begin/],
      [changed(packedSmall, data + 40, 1), "corrupt", data, /damaged/],
      [changed(packedSmall, check, 0), "corrupt", check, /CRC32 of the block is/],
      [changed(packedSmall, index + 1, 2), "corrupt", index + 1, /Number of Records is 2, but the stream has 1/],
      [changed(packedSmall, index + 2, 0x6f), "corrupt", index, /other sizes/],
      [changed(packedSmall, index + 4, 0), "corrupt", index + 3, /more bytes than it needs/],
      [changed(packedSmall, length - 1, 0), "corrupt", length - 2, /magic/],
      [Buffer.concat([packedSmall, Buffer.alloc(3)]), "corrupt", length + 3, /multiple of four/],
      [Buffer.concat([packedSmall, Buffer.from("spindle")]), "corrupt", length, /neither padding nor another stream/],
    ];
    for (const [packed, code, at, message] of cases) {
      const error = failure(xz(), packed, { input: 10, output: 10 });
      expect([error.message, error.code, error.at]).toEqual([expect.stringMatching(message), code, at]);
    }
  });
  it("survives noise", () => {
    for (let seed = 1; seed < 300; seed++) {
      const packed = Buffer.from(packedSmall);
      noise(1 + (seed % 20), seed).copy(packed, HEADER + 18 + (seed % 80));
      expect(outcome(xz(), packed, { input: 1000, output: 3000 })).toBeInstanceOf(DiskError);
    }
  });
});

describe("units of xz", () => {
  const decode = createXzUnits();
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
    sameBytes((await loadUnitDecoder("xz"))(Buffer.concat([packedSmall, packedSmall]), small.length), small);
  });
  it("needs no more memory than the unit has bytes", () => {
    sameBytes(decode(withHeader(packedSmall, { 4: 40 }), small.length), small);
  });
});

const program = judge("xz");
describe.skipIf(program === null)("xz against the program", () => {
  const pack = (source: Uint8Array, ...options: readonly string[]): Buffer =>
    Buffer.from(program!.bytes(["-c", "-T1", ...options], { input: source }));
  /** What the program gives, or null. */
  const judged = (packed: Uint8Array): Uint8Array | null => {
    try {
      return program!.bytes(["-dc"], { input: packed });
    } catch {
      return null;
    }
  };
  const mixture = Buffer.concat([text(150_000), Buffer.alloc(700_000), noise(300_000), text(200_000, 9), Buffer.alloc(300, 1)]);
  const calls = Buffer.from(
    noise(200_000, 3).map((byte, i) => [byte, 0xe8, 0xff, 0, 0xeb, 0x94, 0xf0, 0xf8, 0x48, 0x90, 0x40][byte % 11] ?? i),
  );

  it.each([
    "-0",
    "-1",
    "-6",
    "-9",
    "-6e",
    "--check=none",
    "--check=crc32",
    "--check=crc64",
    "--check=sha256",
    "--block-size=100000",
    "-T2 --block-size=300000",
    "--lzma2=preset=1,dict=4KiB",
    "--lzma2=lc=0,lp=4,pb=0",
    "--lzma2=lc=4,lp=0,pb=4,dict=100KiB",
    "--lzma2=mode=fast,nice=3,mf=hc3,lc=1,lp=3",
  ])("takes %s", (options) => {
    const packed = pack(mixture, ...options.split(" "));
    for (const sizes of [WHOLE, { input: 1000, output: 777 }, { input: 70_000, output: 100_000 }])
      sameBytes(unpacked(packed, sizes), mixture);
  });
  it.each([
    "--x86 --lzma2=preset=0",
    "--x86=start=4096 --lzma2=preset=0",
    "--arm --lzma2=preset=0",
    "--armthumb --lzma2=preset=0",
    "--arm64 --lzma2=preset=0",
    "--powerpc --lzma2=preset=0",
    "--ia64 --lzma2=preset=0",
    "--sparc --lzma2=preset=0",
    "--delta=dist=1 --lzma2=preset=0",
    "--delta=dist=256 --lzma2=preset=0",
    "--delta=dist=3 --ia64=start=64 --x86 --lzma2=dict=4KiB",
  ])("undoes filters: %s", (text) => {
    const options = text.split(" ");
    const packed = pack(calls, ...options);
    for (const sizes of [WHOLE, { input: 1000, output: 777 }, { input: 5000, output: 3333, between: sometimesRestored(xz, 3) }])
      sameBytes(unpacked(packed, sizes), calls);
    for (const length of [0, 1, 4, 5, 17]) sameBytes(unpacked(pack(calls.subarray(0, length), ...options)), calls.subarray(0, length));
  });
  it("takes steps of a byte", () => {
    const source = Buffer.concat([text(20_000), Buffer.alloc(9000), noise(2000)]);
    const packed = pack(source, "--block-size=15000", "--check=sha256");
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
      fc.property(fc.array(part, { maxLength: 8 }), fc.integer({ min: 12, max: 17 }), (parts, bits) => {
        const source = Buffer.concat(parts);
        sameBytes(unpacked(pack(source, `--lzma2=preset=2,dict=${2 ** bits}`), { input: 5000, output: 9000 }), source);
      }),
      { numRuns: 20 },
    );
  });
  it("takes and refuses what the program does", () => {
    const packed = pack(Buffer.concat([small, noise(20)]), "--check=none");
    const data = HEADER + 12;
    let taken = 0;
    for (let bit = data * 8; bit < (data + 130) * 8; bit += 5) {
      const damaged = flipped(packed, bit);
      const expected = judged(damaged);
      const result = outcome(xz(), damaged, WHOLE);
      expect([bit, result instanceof Uint8Array]).toEqual([bit, expected !== null]);
      if (expected === null) continue;
      sameBytes(result as Uint8Array, expected);
      taken++;
    }
    expect(taken).toBeLessThan(20);
    for (const tail of [
      Buffer.alloc(4),
      Buffer.alloc(5),
      Buffer.from("x"),
      packedNothing,
      packedSmall.subarray(0, 20),
      Buffer.alloc(12, "x"),
    ]) {
      const longer = Buffer.concat([packedSmall, tail]);
      expect([tail.toString("hex"), outcome(xz(), longer, WHOLE) instanceof Uint8Array]).toEqual([
        tail.toString("hex"),
        judged(longer) !== null,
      ]);
    }
  });
  it("goes on from a saved state at any place", () => {
    const source = mixture.subarray(100_000, 1_000_000);
    const packed = Buffer.concat([pack(source, "--lzma2=dict=64KiB", "--check=sha256"), pack(text(9000), "-9"), Buffer.alloc(4)]);
    const expected = Buffer.concat([source, text(9000)]);
    fc.assert(
      fc.property(fc.integer({ min: 500, max: 90_000 }), fc.integer({ min: 10_000, max: 200_000 }), fc.nat(), (input, output, seed) => {
        sameBytes(unpacked(packed, { input, output, between: sometimesRestored(xz, seed + 1) }), expected);
      }),
      { numRuns: 8 },
    );
  });
});

const archiver = judge("7zz");
it.skipIf(archiver === null)("takes what 7-Zip makes", () => {
  const source = Buffer.concat([text(300_000), noise(9000), text(100_000, 3)]);
  const packed = archiver!.bytes(["a", "-txz", "-si", "-so", "-mx=5", "any"], { input: source });
  sameBytes(unpacked(packed, { input: 3000, output: 40_000 }), source);
});
