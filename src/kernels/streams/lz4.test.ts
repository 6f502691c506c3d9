import * as fc from "fast-check";
import { xxhash32 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { DiskError } from "../../core/errors.ts";
import type { StreamDecoder } from "../../core/ports.ts";
import { judge } from "../../testing/judges.ts";
import { decoders, failure, noise, randomNumbers, type StepSizes, sameBytes, text, unpackStream, WHOLE } from "../../testing/streams.ts";
import { loadStreamDecoder } from "./index.ts";
import { createLz4Decoder } from "./lz4.ts";

const MIB = 1 << 20;
const lz4 = decoders(createLz4Decoder);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
const hash = async (bytes: Uint8Array): Promise<number> => Number.parseInt(await xxhash32(bytes), 16);

/** One sequence of a block; without a match when `distance` is 0. */
function sequence(literals: Uint8Array, distance = 0, length = 4): Buffer {
  const long = (value: number): number[] => {
    if (value < 15) return [];
    const bytes = new Array<number>(Math.floor((value - 15) / 255)).fill(255);
    return [...bytes, (value - 15) % 255];
  };
  const match = distance === 0 ? 0 : length - 4;
  const parts = [Buffer.from([(Math.min(15, literals.length) << 4) | Math.min(15, match), ...long(literals.length)]), literals];
  if (distance > 0) parts.push(Buffer.from([distance & 255, distance >>> 8, ...long(match)]));
  return Buffer.concat(parts);
}

interface FrameForm {
  readonly flg?: number;
  readonly bd?: number;
  readonly contentSize?: number;
  readonly stored?: boolean;
}
/** A frame of packed blocks; FLG says which checksums it has. */
async function frame(blocks: readonly Uint8Array[], content: Uint8Array, { flg = 0x60, bd = 0x40, contentSize, stored }: FrameForm = {}) {
  const size = contentSize === undefined ? [] : [u32(contentSize), u32(0)];
  const descriptor = Buffer.concat([Buffer.from([contentSize === undefined ? flg : flg | 8, bd]), ...size]);
  const parts: Uint8Array[] = [u32(0x184d2204), descriptor, Buffer.from([((await hash(descriptor)) >>> 8) & 255])];
  for (const block of blocks) {
    parts.push(u32(block.length + (stored ? 0x8000_0000 : 0)), block);
    if (flg & 16) parts.push(u32(await hash(block)));
  }
  parts.push(u32(0));
  if (flg & 4) parts.push(u32(await hash(content)));
  return Buffer.concat(parts);
}

const SUMS = 0x60 | 16 | 4;
const LINKED = 0x40 | 16 | 4;

describe("lz4 frames made by hand", () => {
  it("takes literals and matches of every length, at every distance", async () => {
    for (const distance of [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 200])
      for (const length of [4, 5, 18, 19, 20, 300, 5000]) {
        const literals = noise(distance + 3, distance);
        const plain = Buffer.alloc(distance + 3 + length + 5);
        literals.copy(plain);
        for (let i = distance + 3; i < plain.length - 5; i++) plain[i] = plain[i - distance] as number;
        const tail = noise(5);
        tail.copy(plain, plain.length - 5);
        const packed = await frame([Buffer.concat([sequence(literals, distance, length), sequence(tail)])], plain, { flg: SUMS });
        for (const sizes of [WHOLE, { input: 1, output: 1 }, { input: 3, output: 100 }])
          sameBytes(unpackStream(lz4(), packed, sizes).bytes, plain);
      }
  });
  it("takes linked blocks, whose matches reach into the blocks before, and refuses that of independent ones", async () => {
    const first = noise(65_535);
    const second = Buffer.concat([sequence(Buffer.alloc(0), 65_535, 1000), sequence(Buffer.from("12345"))]);
    const plain = Buffer.concat([first, first.subarray(0, 1000), Buffer.from("12345")]);
    const blocks = [sequence(first), second];
    sameBytes(unpackStream(lz4(), await frame(blocks, plain, { flg: LINKED, bd: 0x50 }), { input: 1000, output: 777 }).bytes, plain);
    const error = failure(lz4(), await frame(blocks, plain, { flg: SUMS, bd: 0x50 }));
    expect(error).toMatchObject({ code: "corrupt", message: expect.stringContaining("block is damaged") });
    // No frame sees the one before it.
    const two = Buffer.concat([
      await frame([sequence(first)], first, { flg: LINKED, bd: 0x50 }),
      await frame([second], plain, { flg: LINKED }),
    ]);
    expect(failure(lz4(), two).code).toBe("corrupt");
  });
  it("takes stored blocks, skippable frames, empty frames, several of them", async () => {
    const plain = text(5000);
    const skippable = Buffer.concat([u32(0x184d2a5c), u32(300), noise(300)]);
    const nothing = Buffer.concat([u32(0x184d2a50), u32(0)]);
    const empty = await frame([], Buffer.alloc(0), { flg: SUMS, contentSize: 0 });
    const one = await frame([plain.subarray(0, 3000), plain.subarray(3000)], plain, { flg: SUMS, stored: true, contentSize: 5000 });
    const packed = Buffer.concat([skippable, one, nothing, empty, skippable, one]);
    for (const sizes of [WHOLE, { input: 1, output: 999 }, { input: 50, output: 1 }]) {
      const { bytes, end, remark } = unpackStream(lz4(), packed, sizes);
      sameBytes(bytes, Buffer.concat([plain, plain]));
      expect([end, remark]).toEqual([packed.length, null]);
    }
    expect(unpackStream(lz4(), skippable, WHOLE).bytes.length).toBe(0);
  });
  it("takes legacy frames, up to the next magic number or the end", async () => {
    const legacy = Buffer.concat([
      u32(0x184c2102),
      ...[text(100), text(3000)].flatMap((part) => [u32(sequence(part).length), sequence(part)]),
    ]);
    const plain = Buffer.concat([text(100), text(3000)]);
    sameBytes(unpackStream(lz4(), legacy, { input: 7, output: 50 }).bytes, plain);
    const packed = Buffer.concat([legacy, legacy, await frame([sequence(plain)], plain, { flg: SUMS })]);
    sameBytes(unpackStream(lz4(), packed, { input: 7, output: 50 }).bytes, Buffer.concat([plain, plain, plain]));
  });
  it("remarks on what follows the last frame", async () => {
    const packed = await frame([sequence(text(50))], text(50));
    for (const tail of ["x", "tail of the file", "\0\0\0\0\0"]) {
      const { bytes, end, remark } = unpackStream(lz4(), Buffer.concat([packed, Buffer.from(tail)]), { input: 5, output: 7 });
      sameBytes(bytes, text(50));
      expect(end).toBe(packed.length);
      expect(remark).toContain(`from ${packed.length} on`);
    }
  });
  it("refuses bad fields, naming them and their place", async () => {
    const plain = text(500);
    const good = await frame([sequence(plain)], plain, { flg: SUMS, contentSize: 500 });
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(good);
      copy[at < 0 ? good.length + at : at] = value;
      return copy;
    };
    const cases: [Uint8Array, string, number, RegExp][] = [
      [changed(0, 5), "wrong-format", 0, /magic number is 0x184d2205/],
      [changed(4, 0x20), "unsupported", 4, /FLG/],
      [changed(4, 0x62), "unsupported", 4, /FLG/],
      [changed(4, 0x61), "unsupported", 4, /dictionary/],
      [changed(5, 0x30), "corrupt", 5, /BD/],
      [changed(5, 0xc0), "corrupt", 5, /BD/],
      [changed(6, 1), "corrupt", 14, /HC/],
      [changed(17, 2), "corrupt", 15, /block size/],
      [changed(-1, good.at(-1)! ^ 1), "corrupt", good.length - 4, /content checksum/],
      [changed(-9, good.at(-9)! ^ 1), "corrupt", good.length - 12, /block checksum/],
      [await frame([sequence(plain)], plain, { contentSize: 501 }), "corrupt", good.length - 12, /content size is 501/],
      [await frame([sequence(noise(65_537))], plain), "corrupt", 7, /block size/],
      [await frame([Buffer.concat([sequence(noise(5), 1, 65_540), sequence(noise(5))])], plain), "corrupt", -1, /damaged/],
      [await frame([sequence(noise(5), 1, 40)], plain), "corrupt", -1, /damaged/],
      [await frame([Buffer.concat([sequence(noise(5), 6, 40), sequence(noise(5))])], plain), "corrupt", -1, /damaged/],
      [Buffer.alloc(0), "corrupt", 0, /truncated/],
    ];
    for (const [packed, code, at, message] of cases) {
      for (const sizes of [WHOLE, { input: 1, output: 300 }]) {
        const error = failure(lz4(), packed, sizes);
        expect(error.message).toMatch(message);
        expect(error.code).toBe(code);
        if (at >= 0) expect(error.at).toBe(at);
      }
    }
  });
  it("refuses every truncation, and finds every flipped bit", async () => {
    const plain = text(300);
    const block = Buffer.concat([sequence(plain, 150, 500), sequence(noise(9))]);
    const repeated = Buffer.concat([plain, ...new Array<Buffer>(5).fill(plain.subarray(150))]).subarray(0, 800);
    const content = Buffer.concat([repeated, noise(9)]);
    const whole = await frame([block], content, { flg: SUMS, contentSize: 809 });
    sameBytes(unpackStream(lz4(), whole, WHOLE).bytes, content);
    for (let length = 0; length < whole.length; length++)
      for (const sizes of [WHOLE, { input: 3, output: 33 }])
        expect(failure(lz4(), whole.subarray(0, length), sizes)).toMatchObject({ code: "corrupt", at: length });
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const packed = Buffer.from(whole);
      packed[bit >>> 3]! ^= 1 << (bit & 7);
      expect(failure(lz4(), packed, { input: 400, output: 300 })).toBeInstanceOf(DiskError);
    }
  });
  it("never hangs on blocks of noise", async () => {
    for (let seed = 1; seed < 300; seed++) {
      const packed = await frame([noise(seed, seed)], Buffer.alloc(0), { flg: 0x60 });
      const outcomes = [WHOLE, { input: 1, output: 100 }].map((sizes) => {
        try {
          return Buffer.from(unpackStream(lz4(), packed, sizes).bytes).toString("hex");
        } catch (error) {
          expect(error).toBeInstanceOf(DiskError);
          return "refused";
        }
      });
      expect(outcomes[0]).toBe(outcomes[1]);
    }
  });
});

const program = judge("lz4");
describe.skipIf(program === null)("what the lz4 program makes", () => {
  const mixture = Buffer.concat([text(900_000), Buffer.alloc(9 * MIB), noise(700_000), text(500_000, 9), text(70_000, 3)]);
  const SETTINGS = [["-1"], ["-9"], ["-BD", "-B4"], ["-BD", "-B7", "-BX"], ["--content-size", "-B5", "-BX"], ["--no-frame-crc"], ["-l"]];
  const packedBy = (options: readonly string[]) => program!.bytes([...options, "-c", "-q"], { input: mixture });

  it.each(SETTINGS)("%s %s %s", (...options) => {
    const packed = packedBy(options.filter((option) => option !== undefined));
    const steps: StepSizes[] = [WHOLE, { input: 100, output: MIB }, { input: 65_536, output: 10_007 }, { input: MIB, output: 999 }];
    for (const sizes of packed.length > MIB && options[0] === "-l" ? steps.slice(0, 1) : steps)
      sameBytes(unpackStream(lz4(), packed, sizes).bytes, mixture);
  });
  it("goes on from a saved state at any place", () => {
    const packed = Buffer.concat([packedBy(["-BD", "-B4", "-BX"]), packedBy(["-l"])]);
    const expected = Buffer.concat([mixture, mixture]);
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 100_000 }), fc.integer({ min: 1000, max: 500_000 }), fc.nat(), (input, output, seed) => {
        const next = randomNumbers(seed + 1);
        const between = (decoder: StreamDecoder): StreamDecoder => {
          if (next() % 10 > 0) return decoder;
          const state = decoder.save();
          expect(state.bytes).toBeLessThan(66_000);
          const other = lz4();
          other.restore(state);
          return other;
        };
        sameBytes(unpackStream(lz4(), packed, { input, output, between }).bytes, expected);
      }),
      { numRuns: 8 },
    );
  });
});

it("is what the loader gives", async () => {
  sameBytes(unpackStream(await loadStreamDecoder("lz4"), await frame([sequence(text(50))], text(50)), WHOLE).bytes, text(50));
});
