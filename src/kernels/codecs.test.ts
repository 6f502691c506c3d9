import { randomBytes } from "node:crypto";
import * as zlib from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DiskError } from "../core/errors.ts";
import type { CodecId } from "../core/model.ts";
import type { Encoding } from "../core/target.ts";
import { createCodecs } from "./codecs.ts";
import { createKernels } from "./index.ts";

const kernels = createKernels();
const codecs = createCodecs(kernels);
const MIB = 1 << 20;

const text = (length: number): Buffer =>
  Buffer.from("the quick brown fox; 0123456789\n".repeat(Math.ceil(length / 32))).subarray(0, length);
const sameBytes = (actual: Uint8Array, expected: Uint8Array): void => expect(Buffer.compare(actual, expected)).toBe(0);

/** Units as disks hold them: text, zeros, noise, and mixtures. */
const units = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 2000 }),
  fc.tuple(fc.integer({ min: 1, max: 70_000 }), fc.nat(3)).map(([length, kind]) => {
    if (kind === 0) return text(length);
    if (kind === 1) return Buffer.alloc(length);
    const noise = randomBytes(length);
    return kind === 2 ? noise : Buffer.concat([noise.subarray(0, length >> 1), text(length - (length >> 1))]);
  }),
);

function failure(codec: CodecId, packed: Uint8Array, unpacked: number, tag?: number): DiskError {
  try {
    codecs.decode(tag === undefined ? { codec, unpacked } : { codec, unpacked, tag }, packed, { file: "disk", at: 4096 });
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
  throw new Error(`${codec}: decoded what is damaged`);
}
/** The decoded bytes; null when refused as it should be. */
function attempt(codec: CodecId, packed: Uint8Array, unpacked: number): Uint8Array | null {
  try {
    return codecs.decode({ codec, unpacked }, packed);
  } catch (error) {
    expect(error).toBeInstanceOf(DiskError);
    return null;
  }
}

function grain(tag: number, stream: Uint8Array, size = stream.length): Buffer {
  const header = Buffer.alloc(12);
  header.writeBigUInt64LE(BigInt(tag), 0);
  header.writeUInt32LE(size, 8);
  return Buffer.concat([header, stream]);
}

describe.each([
  ["deflate", (bytes: Uint8Array, options: zlib.ZlibOptions) => zlib.deflateRawSync(bytes, options)],
  ["zlib", (bytes: Uint8Array, options: zlib.ZlibOptions) => zlib.deflateSync(bytes, options)],
] as const)("decode %s", (codec, pack) => {
  it("gives back what node:zlib packed, and ignores what follows the stream", () => {
    const settings = fc.record({ level: fc.nat(9), windowBits: fc.integer({ min: 9, max: 15 }) });
    fc.assert(
      fc.property(units, settings, fc.uint8Array({ maxLength: 20 }), (unit, options, tail) => {
        sameBytes(codecs.decode({ codec, unpacked: unit.length }, Buffer.concat([pack(unit, options), tail])), unit);
      }),
      { numRuns: 200 },
    );
  });

  it("takes a stream that already lies in the arena", () => {
    const packed = pack(text(5000), {});
    kernels.input.set(packed, 3);
    sameBytes(codecs.decode({ codec, unpacked: 5000 }, kernels.input.subarray(3, 3 + packed.length)), text(5000));
  });

  it("takes 2 MiB of noise in stored blocks", () => {
    const noise = randomBytes(2 * MIB);
    sameBytes(codecs.decode({ codec, unpacked: noise.length }, pack(noise, { level: 0 })), noise);
  });

  it("refuses another size than expected, and every truncation", () => {
    const packed = pack(text(3000), {});
    expect(failure(codec, packed, 2999)).toMatchObject({ code: "corrupt", message: expect.stringContaining("more than") });
    expect(failure(codec, packed, 3001)).toMatchObject({ code: "corrupt", message: expect.stringContaining("less than") });
    for (let length = 0; length < packed.length; length++)
      expect(failure(codec, packed.subarray(0, length), 3000)).toMatchObject({ code: "corrupt", file: "disk" });
  });

  it("agrees with node:zlib about streams with flipped bits", () => {
    const inflate = codec === "zlib" ? zlib.inflateSync : zlib.inflateRawSync;
    const flips = fc.array(fc.nat(1 << 20), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.boolean(), flips, (length, noisy, places) => {
        const unit = noisy ? Buffer.concat([text(length), randomBytes(40)]) : text(length);
        const packed = pack(unit, {});
        for (const place of places) {
          const bit = place % (packed.length * 8);
          packed[bit >> 3] = (packed[bit >> 3] as number) ^ (1 << (bit & 7));
        }
        let expected: Buffer | null = null;
        try {
          expected = inflate(packed, { maxOutputLength: MIB });
        } catch {}
        const actual = attempt(codec, packed, unit.length);
        if (expected === null || expected.length !== unit.length) expect(actual).toBeNull();
        else sameBytes(actual as Uint8Array, expected);
      }),
      { numRuns: 1000 },
    );
  });

  it("survives noise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 5000 }), (packed, unpacked) => {
        attempt(codec, packed, unpacked);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([0, -1, 1.5, Number.NaN, 3 * MIB, 2 ** 53])("refuses a unit of %d bytes", (unpacked) => {
    expect(failure(codec, pack(text(10), {}), unpacked)).toMatchObject({ code: "limit", file: "disk", at: 4096 });
  });
});

describe("decode zlib", () => {
  it("takes exactly the headers that node:zlib takes", () => {
    const packed = zlib.deflateSync(Buffer.from("abc"));
    const accepts = (decode: () => Uint8Array): boolean => {
      try {
        return decode().length === 3;
      } catch {
        return false;
      }
    };
    for (let flg = 0; flg < 256; flg++)
      for (const cmf of [0x78, 0x68, 0x08, 0x48, 0x88, 0x79, 0x77, 0xf8, 0x00]) {
        packed.set([cmf, flg]);
        const judge = accepts(() => zlib.inflateSync(packed));
        expect(
          accepts(() => codecs.decode({ codec: "zlib", unpacked: 3 }, packed)),
          `${cmf} ${flg}`,
        ).toBe(judge);
      }
  });
  it("names the field and place of a wrong checksum", () => {
    const packed = zlib.deflateSync(text(100));
    const at = packed.length - 4;
    packed[at] = (packed[at] as number) ^ 1;
    expect(failure("zlib", packed, 100)).toMatchObject({ code: "corrupt", at: 4096 + at, message: expect.stringContaining("ADLER32") });
  });
  it("names FDICT", () => {
    const packed = zlib.deflateSync(text(100), { dictionary: text(50) });
    expect(failure("zlib", packed, 100).message).toContain("FDICT");
  });
});

describe("decode grain", () => {
  const stream = zlib.deflateSync(text(65_536));
  it("gives back the grain", () => {
    const packed = Buffer.concat([grain(2 ** 40, stream), Buffer.alloc(512)]);
    sameBytes(codecs.decode({ codec: "grain", unpacked: 65_536, tag: 2 ** 40 }, packed), text(65_536));
  });
  it("refuses a record of another sector", () => {
    expect(failure("grain", grain(128, stream), 65_536, 256)).toMatchObject({ at: 4096, message: "grain: lba is 128, expected 256" });
    expect(failure("grain", grain(128, stream), 65_536)).toMatchObject({ code: "corrupt" });
  });
  it("refuses a size past the record, or inside the stream", () => {
    expect(failure("grain", grain(0, stream, stream.length + 1), 65_536, 0)).toMatchObject({
      at: 4104,
      message: expect.stringContaining("size"),
    });
    expect(failure("grain", grain(0, stream, 0xffffffff), 65_536, 0).message).toContain("size");
    for (const size of [0, 1, 2, 10, stream.length - 1]) expect(failure("grain", grain(0, stream, size), 65_536, 0).code).toBe("corrupt");
    for (let length = 0; length < 12; length++)
      expect(failure("grain", grain(0, stream).subarray(0, length), 65_536, 0).code).toBe("corrupt");
  });
});

describe("encode", () => {
  const encode = (encoding: Encoding, unit: Uint8Array, at = 0): Uint8Array | null => {
    kernels.input.set(unit, at);
    return codecs.encode(encoding, at, unit.length);
  };
  const windows = [256, 512, 4096, 32_768] as const;
  const encodings = fc.record({
    codec: fc.constantFrom("deflate" as const, "zlib" as const),
    window: fc.constantFrom(...windows),
    keep: fc.constantFrom("smaller" as const, "always" as const),
  });

  it("node:zlib unpacks it within the stated window; only what shrinks is kept", () => {
    fc.assert(
      fc.property(units, encodings, fc.nat(5), (unit, encoding, at) => {
        const packed = encode(encoding, unit, at);
        if (packed === null) {
          expect(encoding.keep).toBe("smaller");
          return;
        }
        if (encoding.keep === "smaller") expect(packed.length).toBeLessThan(unit.length);
        // The raw decoder of node:zlib takes no window below 2^9.
        const windowBits = Math.max(9, Math.log2(encoding.window));
        const plain = encoding.codec === "zlib" ? zlib.inflateSync(packed) : zlib.inflateRawSync(packed, { windowBits });
        sameBytes(plain, unit);
        sameBytes(codecs.decode({ codec: encoding.codec, unpacked: unit.length }, packed.slice()), unit);
      }),
      { numRuns: 200 },
    );
  });

  it("writes the usual zlib header", () => {
    expect([...(encode({ codec: "zlib", window: 32_768, keep: "always" }, text(100)) as Uint8Array).subarray(0, 2)]).toEqual([0x78, 0x9c]);
  });

  it.each([1, 512, 65_535, 65_536, 2 * MIB])("noise of %i bytes: not kept when it must shrink, stored otherwise", (length) => {
    const noise = randomBytes(length);
    for (const codec of ["deflate", "zlib"] as const) {
      expect(encode({ codec, window: 4096, keep: "smaller" }, noise)).toBeNull();
      const packed = encode({ codec, window: 4096, keep: "always" }, noise) as Uint8Array;
      expect(packed.length).toBeLessThanOrEqual(length + 5 * Math.ceil(length / 65_535) + 6);
      sameBytes(codec === "zlib" ? zlib.inflateSync(packed) : zlib.inflateRawSync(packed), noise);
    }
  });

  it("text shrinks", () => {
    expect((encode({ codec: "deflate", window: 4096, keep: "smaller" }, text(65_536)) as Uint8Array).length).toBeLessThan(1000);
  });
});

describe("encode deflate-part", () => {
  const encoding: Encoding = { codec: "deflate-part", window: 32_768, keep: "always" };
  const encode = (unit: Uint8Array, settings = encoding): Buffer | null => {
    kernels.input.set(unit, 11);
    const packed = codecs.encode(settings, 11, unit.length);
    return packed === null ? null : Buffer.from(packed);
  };
  /** An empty fixed block that is the last one. */
  const END = Buffer.from([3, 0]);

  it("makes parts of one stream, each with the CRC-32 of its bytes behind it", () => {
    fc.assert(
      fc.property(fc.array(units, { minLength: 1, maxLength: 6 }), (sources) => {
        const parts = sources.map((unit) => encode(unit) as Buffer);
        const stream = Buffer.concat([...parts.map((part) => part.subarray(0, -4)), END]);
        sameBytes(zlib.inflateRawSync(stream), Buffer.concat(sources));
        for (const [i, part] of parts.entries()) expect(part.readUInt32LE(part.length - 4)).toBe(kernels.crc32(sources[i] as Uint8Array));
      }),
      { numRuns: 60 },
    );
  });
  it("shrinks what shrinks, and takes 2 MiB of noise", () => {
    expect((encode(Buffer.alloc(65_536)) as Buffer).length).toBeLessThan(300);
    const noise = randomBytes(2 * MIB);
    const packed = encode(noise) as Buffer;
    expect(packed.length).toBeLessThan(noise.length + 300);
    sameBytes(zlib.inflateRawSync(Buffer.concat([packed.subarray(0, -4), END])), noise);
    expect(encode(noise, { ...encoding, keep: "smaller" })).toBeNull();
  });
  it("ends no stream by itself", () => {
    for (const unit of [Buffer.of(1), text(5000), randomBytes(70_000)])
      expect(() => zlib.inflateRawSync((encode(unit) as Buffer).subarray(0, -4))).toThrow(/unexpected end/);
  });
});
