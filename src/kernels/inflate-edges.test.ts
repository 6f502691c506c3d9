import * as zlib from "node:zlib";
import { describe, expect, it } from "vitest";
import { BAD_STREAM, expectAgreement, inflate, SETTINGS, SOURCES, TRUNCATED } from "../testing/inflate.ts";
import { noise, randomNumbers, text } from "../testing/streams.ts";

const { constants } = zlib;

/** Writes streams by hand. */
class BitWriter {
  readonly #bits: number[] = [];
  bits(value: number, count: number): this {
    for (let i = 0; i < count; i++) this.#bits.push(Math.floor(value / 2 ** i) & 1);
    return this;
  }
  code(value: number, length: number): this {
    for (let i = length - 1; i >= 0; i--) this.#bits.push((value >> i) & 1);
    return this;
  }
  stored(bytes: Uint8Array, isFinal = false): this {
    this.bits(isFinal ? 1 : 0, 3);
    while (this.#bits.length % 8) this.#bits.push(0);
    this.bits(bytes.length, 16).bits(bytes.length ^ 0xffff, 16);
    for (const byte of bytes) this.bits(byte, 8);
    return this;
  }
  /** A symbol of the fixed literal/length code (RFC 1951 §3.2.6). */
  fixed(symbol: number): this {
    if (symbol < 144) return this.code(0x30 + symbol, 8);
    if (symbol < 256) return this.code(0x190 + symbol - 144, 9);
    return symbol < 280 ? this.code(symbol - 256, 7) : this.code(0xc0 + symbol - 280, 8);
  }
  /** Header of a final dynamic block; code lengths are sent one by one, with a code of 4 and 5 bits for them. */
  dynamicHeader(literalLengths: readonly number[], distanceLengths: readonly number[]): this {
    this.bits(1, 1).bits(2, 2);
    this.bits(literalLengths.length - 257, 5)
      .bits(distanceLengths.length - 1, 5)
      .bits(15, 4);
    const own = Array.from({ length: 19 }, (_, symbol) => (symbol < 13 ? 4 : 5));
    for (const symbol of [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]) this.bits(own[symbol] as number, 3);
    const codes = canonical(own);
    for (const length of [...literalLengths, ...distanceLengths]) this.code(codes[length] as number, own[length] as number);
    return this;
  }
  done(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.#bits.length / 8));
    for (const [i, bit] of this.#bits.entries()) bytes[i >> 3]! |= bit << (i & 7);
    return bytes;
  }
}

/** Codes from lengths (RFC 1951 §3.2.2). */
function canonical(lengths: readonly number[]): number[] {
  const codes = new Array<number>(lengths.length).fill(0);
  let code = 0;
  for (let length = 1; length <= 15; length++) {
    code *= 2;
    for (const [symbol, own] of lengths.entries()) if (own === length) codes[symbol] = code++;
  }
  return codes;
}

/** `symbols` code lengths of which `used` form a complete random code; those in `needed` are among them. */
function randomLengths(next: () => number, symbols: number, used: number, needed: readonly number[]): number[] {
  const depths = [0];
  while (depths.length < used) {
    // Favour the deepest leaf: long codes are what the second tables are for.
    let at = next() % depths.length;
    if (next() % 2) at = depths.length - 1;
    const depth = depths[at] as number;
    if (depth === 15) continue;
    depths.splice(at, 1, depth + 1, depth + 1);
  }
  const chosen = new Set(needed);
  while (chosen.size < used) chosen.add(next() % symbols);
  const lengths = new Array<number>(symbols).fill(0);
  for (const symbol of chosen) lengths[symbol] = depths.splice(next() % depths.length, 1)[0] as number;
  return lengths;
}

const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const distanceExtra = (symbol: number): number => (symbol < 4 ? 0 : (symbol >> 1) - 1);

/** A match in the fixed codes. */
function putMatch(writer: BitWriter, length: number, distance: number): BitWriter {
  let symbol = 28;
  let base = 258;
  if (length < 258) {
    symbol = 0;
    base = 3;
    while (base + 2 ** (LENGTH_EXTRA[symbol] as number) <= length) base += 2 ** (LENGTH_EXTRA[symbol++] as number);
  }
  writer.fixed(257 + symbol).bits(length - base, LENGTH_EXTRA[symbol] as number);
  let far = 0;
  let farBase = 1;
  while (farBase + 2 ** distanceExtra(far) <= distance) farBase += 2 ** distanceExtra(far++);
  return writer.code(far, 5).bits(distance - farBase, distanceExtra(far));
}

describe("the edges of RFC 1951", () => {
  it("an empty stream", () => {
    expect(expectAgreement(Uint8Array.of(3, 0)).status).toBe(0);
    expect(expectAgreement(Uint8Array.of(1, 0, 0, 255, 255)).status).toBe(0);
  });
  it("no input at all", () => {
    expect(expectAgreement(new Uint8Array(0)).status).toBe(TRUNCATED);
  });
  it("several blocks of every type", () => {
    const parts = SETTINGS.map(([, options], i) => [text(5000 + i, i + 1), options] as const);
    const packed = [...parts, ...parts].map(([bytes, options]) =>
      zlib.deflateRawSync(bytes, { ...options, finishFlush: constants.Z_FULL_FLUSH }),
    );
    const { bytes } = expectAgreement(Buffer.concat([...packed, Uint8Array.of(3, 0)]));
    expect(Buffer.compare(bytes, Buffer.concat([...parts, ...parts].map(([part]) => part)))).toBe(0);
  });
  it("a stored block of 65,535 bytes", () => {
    expect(expectAgreement(new BitWriter().stored(noise(65_535), true).done()).status).toBe(65_535);
  });
  it("every length at every kind of distance", () => {
    const distances = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 18, 20, 24, 28, 31, 32, 33, 40, 100, 257, 1000, 5000];
    for (const distance of distances) {
      const writer = new BitWriter().stored(noise(distance)).bits(1, 1).bits(1, 2);
      for (let length = 3; length <= 258; length++) putMatch(writer, length, distance);
      expect(expectAgreement(writer.fixed(256).done()).status).toBeGreaterThan(0);
    }
  });
  it("length 258 at distance 32,768", () => {
    const source = noise(32_768);
    const writer = new BitWriter().stored(source).bits(1, 1).bits(1, 2);
    const { bytes } = expectAgreement(putMatch(writer, 258, 32_768).fixed(256).done());
    expect(Buffer.compare(bytes, Buffer.concat([source, source.subarray(0, 258)]))).toBe(0);
  });
  it("a distance just beyond the output", () => {
    const writer = new BitWriter().stored(noise(100)).bits(1, 1).bits(1, 2);
    expect(expectAgreement(putMatch(writer, 3, 101).fixed(256).done()).status).toBe(BAD_STREAM);
  });
  it("codes of 15 bits", () => {
    const counts = [1, 1];
    while (counts.length < 20) counts.push((counts.at(-1) as number) + (counts.at(-2) as number));
    const source = Uint8Array.from(counts.flatMap((count, symbol) => new Array<number>(count).fill(symbol)));
    const packed = zlib.deflateRawSync(source, { strategy: constants.Z_HUFFMAN_ONLY, memLevel: 9 });
    expect(Buffer.compare(expectAgreement(packed).bytes, source)).toBe(0);
  });
  it("random codes for both alphabets", () => {
    const next = randomNumbers(99);
    const before = new BitWriter().stored(noise(30_000)).done();
    let accepted = 0;
    for (let round = 0; round < 300; round++) {
      const literals = randomLengths(next, 286, 2 + (next() % 285), [256]);
      const distances = randomLengths(next, 30, 2 + (next() % 29), []);
      const literalCodes = canonical(literals);
      const distanceCodes = canonical(distances);
      const usable = literals.flatMap((length, symbol) => (length && symbol !== 256 ? [symbol] : []));
      const reachable = distances.flatMap((length, symbol) => (length ? [symbol] : []));
      const writer = new BitWriter().dynamicHeader(literals, distances);
      for (let i = 0; i < 200; i++) {
        const symbol = usable[next() % usable.length] as number;
        writer.code(literalCodes[symbol] as number, literals[symbol] as number);
        if (symbol < 256) continue;
        writer.bits(next(), LENGTH_EXTRA[symbol - 257] as number);
        const distance = reachable[next() % reachable.length] as number;
        writer.code(distanceCodes[distance] as number, distances[distance] as number).bits(next(), distanceExtra(distance));
      }
      writer.code(literalCodes[256] as number, literals[256] as number);
      const { status } = expectAgreement(Buffer.concat([before, writer.done()]));
      if (status >= 0) accepted++;
    }
    expect(accepted).toBeGreaterThan(150);
  });
  it("bytes after the stream", () => {
    for (const [, source] of SOURCES.slice(0, 5)) {
      const packed = zlib.deflateRawSync(source);
      const { status, consumed } = inflate(Buffer.concat([packed, noise(50)]), source.length);
      expect(status).toBe(source.length);
      expect(consumed).toBe(packed.length);
    }
  });
  it("a distance code of one symbol, and its missing other half", () => {
    const literals = new Array<number>(258).fill(0);
    [literals[65], literals[256], literals[257]] = [1, 2, 2];
    const header = () => new BitWriter().dynamicHeader(literals, [1]).code(0, 1);
    expect(expectAgreement(header().code(3, 2).code(0, 1).code(2, 2).done()).status).toBe(4);
    expect(expectAgreement(header().code(3, 2).code(1, 1).code(2, 2).bits(0, 20).done()).status).toBe(BAD_STREAM);
  });
  it("no distance code, unused and used", () => {
    const literals = new Array<number>(258).fill(0);
    [literals[65], literals[256], literals[257]] = [1, 2, 2];
    const header = () => new BitWriter().dynamicHeader(literals, [0]).code(0, 1);
    expect(expectAgreement(header().code(2, 2).done()).status).toBe(1);
    expect(expectAgreement(header().code(3, 2).code(0, 1).code(2, 2).bits(0, 20).done()).status).toBe(BAD_STREAM);
  });
  it("an end of block as the only literal code, and its missing other half", () => {
    const literals = new Array<number>(257).fill(0);
    literals[256] = 1;
    expect(expectAgreement(new BitWriter().dynamicHeader(literals, [0]).code(0, 1).done()).status).toBe(0);
    expect(expectAgreement(new BitWriter().dynamicHeader(literals, [0]).code(1, 1).bits(0, 20).done()).status).toBe(BAD_STREAM);
  });

  const literalLengths = (entries: readonly (readonly [number, number])[], count = 257): number[] => {
    const lengths = new Array<number>(count).fill(0);
    for (const [symbol, length] of entries) lengths[symbol] = length;
    return lengths;
  };
  const fixedBlock = () => new BitWriter().bits(1, 1).bits(1, 2).fixed(65);
  const dynamicStart = (hlit: number, hdist: number) => new BitWriter().bits(1, 1).bits(2, 2).bits(hlit, 5).bits(hdist, 5).bits(15, 4);
  const lengthCodes = (writer: BitWriter, lengths: readonly number[]) => {
    for (const symbol of [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]) writer.bits(lengths[symbol] ?? 0, 3);
    return writer;
  };
  const REJECTED: readonly [string, BitWriter][] = [
    ["block type 3", new BitWriter().bits(7, 3)],
    ["LEN and NLEN that do not match", new BitWriter().bits(1, 8).bits(4, 16).bits(0xfffa, 16)],
    ["HLIT 287", dynamicStart(30, 0)],
    ["HLIT 288", dynamicStart(31, 0)],
    ["HDIST 31", dynamicStart(0, 30)],
    ["HDIST 32", dynamicStart(0, 31)],
    ["an over-subscribed code length code", lengthCodes(dynamicStart(0, 0), [1, 1, 1])],
    ["an incomplete code length code", lengthCodes(dynamicStart(0, 0), [1, 2])],
    ["an empty code length code", lengthCodes(dynamicStart(0, 0), [])],
    [
      "a repeat with no length before it",
      lengthCodes(dynamicStart(0, 0), Object.assign([], { 0: 1, 16: 1 }))
        .code(1, 1)
        .bits(0, 2),
    ],
    [
      "a repeat past the last length",
      lengthCodes(dynamicStart(0, 0), Object.assign([], { 0: 1, 18: 1 }))
        .code(1, 1)
        .bits(127, 7)
        .code(1, 1)
        .bits(127, 7),
    ],
    [
      "no end of block",
      new BitWriter().dynamicHeader(
        literalLengths([
          [65, 1],
          [66, 1],
        ]),
        [0],
      ),
    ],
    [
      "an over-subscribed literal code",
      new BitWriter().dynamicHeader(
        literalLengths([
          [65, 1],
          [66, 1],
          [256, 1],
        ]),
        [0],
      ),
    ],
    [
      "an incomplete literal code",
      new BitWriter().dynamicHeader(
        literalLengths([
          [65, 2],
          [256, 1],
        ]),
        [0],
      ),
    ],
    ["a single literal code of two bits", new BitWriter().dynamicHeader(literalLengths([[256, 2]]), [0])],
    [
      "an over-subscribed distance code",
      new BitWriter().dynamicHeader(
        literalLengths([
          [65, 1],
          [256, 1],
        ]),
        [1, 1, 1],
      ),
    ],
    [
      "an incomplete distance code",
      new BitWriter().dynamicHeader(
        literalLengths([
          [65, 1],
          [256, 1],
        ]),
        [1, 2],
      ),
    ],
    [
      "a single distance code of two bits",
      new BitWriter().dynamicHeader(
        literalLengths([
          [65, 1],
          [256, 1],
        ]),
        [2],
      ),
    ],
    ["fixed literal symbol 286", fixedBlock().fixed(286)],
    ["fixed literal symbol 287", fixedBlock().fixed(287)],
    ["fixed distance symbol 30", fixedBlock().fixed(257).code(30, 5)],
    ["fixed distance symbol 31", fixedBlock().fixed(257).code(31, 5)],
  ];
  it.each(REJECTED)("rejects %s", (_name, writer) => {
    expect(expectAgreement(writer.bits(0, 64).done()).status).toBe(BAD_STREAM);
  });
});
