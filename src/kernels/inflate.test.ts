import * as zlib from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  expectAgreement,
  INPUT_SLACK,
  inflate,
  input,
  kernels,
  LIMIT,
  memory,
  OUTPUT_SLACK,
  output,
  records,
  SETTINGS,
  SOURCES,
  TOO_LONG,
  TRUNCATED,
} from "../testing/inflate.ts";
import { noise, randomNumbers, text } from "../testing/streams.ts";

describe.each(SETTINGS)("inflate of zlib's output, %s", (_name, options) => {
  it.each(SOURCES)("%s", (_source, source) => {
    const packed = zlib.deflateRawSync(source, options);
    const { status, bytes, consumed } = inflate(packed, source.length);
    expect(status).toBe(source.length);
    expect(Buffer.compare(bytes, source)).toBe(0);
    expect(consumed).toBe(packed.length);
  });
  it("any bytes", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.nat(200)).map(([unit, times]) => Buffer.concat(Array(times).fill(unit))),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const source = Buffer.concat(pieces);
        expect(Buffer.compare(expectAgreement(zlib.deflateRawSync(source, options)).bytes, source)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

describe("the ends", () => {
  const STREAMS = SETTINGS.map(([name, options]) => [name, zlib.deflateRawSync(text(1500, 3), options)] as const);

  it.each(STREAMS)("truncated at every byte: %s", (_name, packed) => {
    for (let length = 0; length < packed.length; length++) {
      for (const slack of [0, 0xff, 0xa5]) expect(inflate(packed.subarray(0, length), 1500, slack).status).toBe(TRUNCATED);
      expectAgreement(packed.subarray(0, length));
    }
  });
  it.each(STREAMS)("room for fewer bytes: %s", (_name, packed) => {
    for (let room = 0; room < 1500; room += room < 20 || room > 1480 ? 1 : 37) expect(inflate(packed, room).status).toBe(TOO_LONG);
    expect(inflate(packed, 1500).status).toBe(1500);
  });
  it("reads and writes nothing past the slack, where the memory ends", () => {
    for (const [, packed] of STREAMS) {
      const atEnd = memory.length - INPUT_SLACK - packed.length;
      memory.fill(0xff, atEnd);
      memory.set(packed, atEnd);
      expect(kernels.inflate(atEnd, packed.length, output, 1500)).toBe(1500);
      for (let length = 0; length < packed.length; length++) {
        const place = memory.length - INPUT_SLACK - length;
        memory.set(packed.subarray(0, length), place);
        expect(kernels.inflate(place, length, output, LIMIT)).toBe(TRUNCATED);
      }
      memory.set(packed, input);
      for (const room of [1500, 1499, 1000, 1, 0]) {
        const status = kernels.inflate(input, packed.length, memory.length - OUTPUT_SLACK - room, room);
        expect(status).toBe(room === 1500 ? 1500 : TOO_LONG);
      }
    }
  });
});

describe("damaged streams", () => {
  const sources = [text(3000, 21), records(4000), noise(600, 5), new Uint8Array([...noise(700), ...text(2000, 5)])];
  const cases = SETTINGS.flatMap(([name, options]) =>
    sources.map((source, i) => [`${name}, source ${i}`, zlib.deflateRawSync(source, options), i] as const),
  );
  it.each(cases)("80 times: %s", (_name, packed, seed) => {
    const next = randomNumbers(packed.length * 31 + seed + 1);
    for (let round = 0; round < 80; round++) {
      const damaged = Uint8Array.from(packed);
      const range = next() % 2 ? damaged.length : Math.min(damaged.length, 120);
      for (let flips = 1 + (next() % 3); flips; flips--) damaged[next() % range]! ^= 1 << (next() % 8);
      expectAgreement(damaged);
    }
  });
  it("read and write nothing past the slack, where the memory ends", () => {
    const next = randomNumbers(77);
    for (const [, packed] of cases) {
      for (let round = 0; round < 20; round++) {
        const damaged = packed.slice(0, 1 + (next() % packed.length));
        damaged[next() % damaged.length]! ^= 1 << (next() % 8);
        const room = next() % 4000;
        const place = memory.length - INPUT_SLACK - damaged.length;
        const { status } = inflate(damaged, room);
        memory.fill(0xff, place).set(damaged, place);
        expect(kernels.inflate(place, damaged.length, output, room)).toBe(status);
        memory.set(damaged, input);
        expect(kernels.inflate(input, damaged.length, memory.length - OUTPUT_SLACK - room, room)).toBe(status);
      }
    }
  });
  it("bytes of no meaning", () => {
    for (let round = 1; round <= 600; round++) expectAgreement(noise(1 + (round % 90), round * 7919));
  });
});
