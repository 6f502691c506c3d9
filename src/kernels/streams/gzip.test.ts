import * as zlib from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DiskError } from "../../core/errors.ts";
import type { StreamCodec, StreamDecoder } from "../../core/ports.ts";
import { judge } from "../../testing/judges.ts";
import { decoders, failure, noise, randomNumbers, sameBytes, sometimesRestored, text, unpackStream, WHOLE } from "../../testing/streams.ts";
import { createDeflateDecoder } from "./deflate.ts";
import { createGzipDecoder } from "./gzip.ts";
import { loadStreamDecoder } from "./index.ts";

const MIB = 1 << 20;
const ID1 = 0x1f;
const { constants } = zlib;

const mixture = Buffer.concat([text(150_000), Buffer.alloc(70_000), noise(80_000), text(100_000, 9), Buffer.alloc(300_000, 1)]);
const small = Buffer.concat([text(700), Buffer.alloc(700), noise(150)]);

const SETTINGS: readonly [string, zlib.ZlibOptions][] = [
  ["level 0", { level: 0 }],
  ["level 1", { level: 1 }],
  ["level 9, small blocks", { level: 9, memLevel: 1 }],
  ["window 9", { level: 6, windowBits: 9 }],
  ["fixed codes", { strategy: constants.Z_FIXED }],
  ["Huffman only", { strategy: constants.Z_HUFFMAN_ONLY }],
];

const deflate = decoders(createDeflateDecoder);
const gzip = decoders(createGzipDecoder);

describe.each(SETTINGS)("deflate of zlib's output, %s", (_name, options) => {
  const packed = zlib.deflateRawSync(mixture, options);
  it.each([
    [13, MIB],
    [7, 4096],
    [4096, 777],
    [65_536, 65_536],
    [MIB, 1000],
    [MIB, MIB],
  ])("in steps of %d and %d bytes", (input, output) => {
    const { bytes, end, remark } = unpackStream(deflate(), Buffer.concat([packed, Buffer.from("more")]), { input, output });
    sameBytes(bytes, mixture);
    expect(end).toBe(packed.length);
    expect(remark).toBeNull();
  });
  it("byte by byte, both ways", () => {
    const source = mixture.subarray(140_000, 160_000);
    sameBytes(unpackStream(deflate(), zlib.deflateRawSync(source, options), { input: 1, output: 1 }).bytes, source);
  });
  it("goes on from a saved state, in another decoder", () => {
    const next = randomNumbers(3);
    const between = (decoder: StreamDecoder): StreamDecoder => {
      if (next() % 3 > 0) return decoder;
      const other = deflate();
      // It has been used before: nothing of that may show.
      if (next() % 2 > 0) other.step(zlib.deflateRawSync(text(500, 99)), false, new Uint8Array(next() % 600));
      other.restore(decoder.save());
      return other;
    };
    for (const output of [1000, 30_000, 140_000])
      sameBytes(unpackStream(deflate(), packed, { input: 5000, output, between }).bytes, mixture);
  });
  it("goes back to a saved state", () => {
    const decoder = createDeflateDecoder();
    const output = new Uint8Array(100_000);
    const first = decoder.step(packed, true, output);
    const state = decoder.save();
    expect(state.bytes).toBeLessThan(40_000);
    const rest = packed.subarray(first.taken);
    for (let i = 0; i < 2; i++) {
      sameBytes(unpackStream(decoder, rest, WHOLE).bytes, mixture.subarray(100_000));
      decoder.restore(state);
    }
  });
  it("refuses every truncation, naming where the data ends", () => {
    const whole = zlib.deflateRawSync(small, options);
    for (let length = 0; length < whole.length; length++)
      for (const sizes of [WHOLE, { input: 3, output: 64 }]) {
        const { code, at } = failure(deflate(), whole.subarray(0, length), sizes);
        expect([code, at]).toEqual(["corrupt", length]);
      }
  });
});

describe("deflate", () => {
  it("judges damaged streams as zlib does, and never hangs", () => {
    const next = randomNumbers(17);
    for (const [, options] of SETTINGS) {
      const whole = zlib.deflateRawSync(small, options);
      for (let i = 0; i < 300; i++) {
        const packed = Buffer.from(whole);
        for (let flips = 1 + (next() % 3); flips > 0; flips--) packed[next() % packed.length]! ^= 1 << (next() % 8);
        const expected = inflatedByZlib(packed);
        if (expected === null) expect(failure(deflate(), packed, { input: 100, output: 500 }).code).toBe("corrupt");
        else sameBytes(unpackStream(deflate(), packed, { input: 100, output: 500 }).bytes, expected);
      }
    }
  });
  it("takes matches at the greatest distance, and none beyond the beginning", () => {
    const far = Buffer.concat([noise(258), Buffer.alloc(32_768 - 258), noise(258), Buffer.alloc(200_000)]);
    sameBytes(unpackStream(deflate(), zlib.deflateRawSync(far, { level: 9 }), { input: 999, output: 999 }).bytes, far);
    // Fixed block: literal 0, then length 3 at distance 2.
    expect(failure(deflate(), Buffer.from([0x63, 0x00, 0x22, 0x00, 0x00, 0x00])).code).toBe("corrupt");
  });
  it("does not see the stream before", () => {
    const decoder = createDeflateDecoder();
    const fresh = decoder.save();
    sameBytes(unpackStream(decoder, zlib.deflateRawSync(small), WHOLE).bytes, small);
    decoder.restore(fresh);
    sameBytes(unpackStream(decoder, zlib.deflateRawSync(text(300, 4)), WHOLE).bytes, text(300, 4));
  });
});

function inflatedByZlib(packed: Uint8Array): Uint8Array | null {
  try {
    return zlib.inflateRawSync(packed, { maxOutputLength: MIB });
  } catch {
    return null;
  }
}

/** A member with all the optional fields (RFC 1952 section 2.3.1). */
function member(source: Uint8Array, { extra = 0, name = "", comment = "", checked = false }): Buffer {
  const plain = zlib.gzipSync(source);
  const flags = (checked ? 2 : 0) | (extra > 0 ? 4 : 0) | (name === "" ? 0 : 8) | (comment === "" ? 0 : 16);
  const parts: Uint8Array[] = [plain.subarray(0, 3), Buffer.from([flags]), plain.subarray(4, 10)];
  if (extra > 0) parts.push(Buffer.from([extra & 255, extra >>> 8]), noise(extra));
  for (const field of [name, comment]) if (field !== "") parts.push(Buffer.from(`${field}\0`));
  if (checked) {
    const sum = Buffer.alloc(2);
    sum.writeUInt16LE(zlib.crc32(Buffer.concat(parts)) & 0xffff);
    parts.push(sum);
  }
  return Buffer.concat([...parts, plain.subarray(10)]);
}

describe("gzip", () => {
  it("is what the loader gives", async () => {
    for (const codec of ["deflate", "gzip"] satisfies StreamCodec[]) {
      const packed = codec === "gzip" ? zlib.gzipSync(small) : zlib.deflateRawSync(small);
      sameBytes(unpackStream(await loadStreamDecoder(codec), packed, WHOLE).bytes, small);
    }
  });
  it.each([
    [1, 5000],
    [10, 100],
    [70_000, 100_000],
  ])("takes many members with every kind of header, in steps of %d and %d bytes", (input, output) => {
    const members = [
      member(text(5000), {}),
      member(Buffer.alloc(0), { name: "empty" }),
      member(mixture.subarray(100_000, 180_000), { extra: 65_535, name: "n".repeat(3000), comment: "c", checked: true }),
      member(text(100, 3), { comment: "only", checked: true }),
    ];
    const expected = Buffer.concat([text(5000), mixture.subarray(100_000, 180_000), text(100, 3)]);
    for (const padding of [0, 1, 1000]) {
      const packed = Buffer.concat([...members, Buffer.alloc(padding)]);
      const { bytes, end, remark } = unpackStream(gzip(), packed, { input, output });
      sameBytes(bytes, expected);
      expect([end, remark]).toEqual([packed.length, null]);
    }
  });
  it("remarks on other bytes behind the last member", () => {
    const whole = zlib.gzipSync(small);
    for (const tail of [[1], [ID1], [ID1, 0], [0, 0, ID1, 0x8b]]) {
      for (const input of [1, MIB]) {
        const zeros = tail.findIndex((byte) => byte !== 0);
        const { bytes, end, remark } = unpackStream(gzip(), Buffer.concat([whole, Buffer.from(tail)]), { input, output: 900 });
        sameBytes(bytes, small);
        expect(end).toBe(whole.length + zeros);
        expect(remark).toContain(`from ${whole.length + zeros} on`);
      }
    }
  });
  it("refuses what is no gzip file, names the field and its place", () => {
    const whole = zlib.gzipSync(small);
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(whole);
      copy[at] = value;
      return copy;
    };
    const cases: [Uint8Array, string, number, RegExp][] = [
      [changed(0, 0x1e), "wrong-format", 0, /ID1/],
      [changed(1, 0), "wrong-format", 0, /ID1 and ID2/],
      [changed(2, 7), "unsupported", 2, /CM is 7/],
      [changed(3, 0x20), "unsupported", 3, /FLG is 0x20/],
      [changed(whole.length - 8, whole.at(-8)! ^ 1), "corrupt", whole.length - 8, /CRC32/],
      [changed(whole.length - 1, 1), "corrupt", whole.length - 4, /ISIZE/],
      [Buffer.concat([whole, changed(2, 9)]), "unsupported", whole.length + 2, /CM is 9/],
      [Buffer.alloc(0), "corrupt", 0, /truncated/],
    ];
    for (const [packed, code, at, message] of cases) {
      const error = failure(gzip(), packed);
      expect([error.code, error.at]).toEqual([code, at]);
      expect(error.message).toMatch(message);
    }
    const named = member(small, { name: "disk", checked: true });
    named[12]! ^= 1;
    expect(failure(gzip(), named)).toMatchObject({ code: "corrupt", at: 15, message: expect.stringContaining("CRC16") });
  });
  it("refuses every truncation", () => {
    const first = member(small, { extra: 5, name: "name", comment: "comment", checked: true });
    const whole = Buffer.concat([first, zlib.gzipSync(small)]);
    for (let length = 0; length < whole.length; length++) {
      if (length === first.length || length === first.length + 1) continue;
      for (const sizes of [WHOLE, { input: 9, output: 33 }])
        expect(failure(gzip(), whole.subarray(0, length), sizes)).toMatchObject({ code: "corrupt", at: length });
    }
  });
  it("finds every flipped bit that matters", () => {
    // MTIME to OS and the name are covered by the header's own checksum.
    const whole = member(small, { name: "name", checked: true });
    let harmless = 0;
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const packed = Buffer.from(whole);
      packed[bit >>> 3]! ^= 1 << (bit & 7);
      try {
        sameBytes(unpackStream(gzip(), packed, { input: 5000, output: 700 }).bytes, small);
        harmless++;
      } catch (error) {
        expect(error).toBeInstanceOf(DiskError);
      }
    }
    // The bits that fill the last byte of the compressed data.
    expect(harmless).toBeLessThan(8);
  });
  it("goes on from a saved state at any place", () => {
    const packed = Buffer.concat([
      member(mixture, { extra: 300, name: "a".repeat(100), checked: true }),
      zlib.gzipSync(text(9000)),
      Buffer.alloc(99),
    ]);
    const expected = Buffer.concat([mixture, text(9000)]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 50_000 }), fc.nat(), (input, output, seed) => {
        sameBytes(unpackStream(gzip(), packed, { input, output: output + 50, between: sometimesRestored(gzip, seed + 1) }).bytes, expected);
      }),
      { numRuns: 12 },
    );
  });

  const programs = [
    ["gzip", ["-1"]],
    ["gzip", ["-9"]],
    ["pigz", ["-b", "128"]],
    ["pigz", ["-i", "-b", "128", "-p", "3"]],
  ] as const;
  for (const [name, options] of programs) {
    const program = judge(name);
    it.skipIf(program === null)(`takes what ${name} ${options.join(" ")} makes`, () => {
      sameBytes(unpackStream(gzip(), program!.bytes([...options, "-c"], { input: mixture }), WHOLE).bytes, mixture);
    });
  }
});
