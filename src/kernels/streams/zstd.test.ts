import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { xxhash64 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { zstdZeros } from "../../formats/raw/zero-stream.ts";
import { generatedFolder, judge } from "../../testing/judges.ts";
import {
  decoders,
  failure,
  noise,
  randomNumbers,
  type StepSizes,
  sameBytes,
  sometimesRestored,
  text,
  unpackStream,
  WHOLE,
} from "../../testing/streams.ts";
import { loadStreamDecoder } from "./index.ts";
import { createZstdDecoder } from "./zstd.ts";

const MIB = 1 << 20;
const BLOCK = 128 << 10;
const zstd = decoders(createZstdDecoder);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
const MAGIC = u32(0xfd2fb528);

interface Block {
  readonly type: 0 | 1 | 2 | 3;
  readonly size: number;
  readonly bytes: Uint8Array;
}
const raw = (bytes: Uint8Array): Block => ({ type: 0, size: bytes.length, bytes });
const rle = (byte: number, size: number): Block => ({ type: 1, size, bytes: Uint8Array.of(byte) });
const compressed = (...bytes: number[]): Block => ({ type: 2, size: bytes.length, bytes: Uint8Array.from(bytes) });
/** A frame of blocks behind a header given as bytes; with a checksum when its content is given. */
async function frame(header: readonly number[], blocks: readonly Block[], content?: Uint8Array): Promise<Buffer> {
  const parts: Uint8Array[] = [MAGIC, Uint8Array.from(header)];
  for (const [i, { type, size, bytes }] of blocks.entries())
    parts.push(u32((size << 3) | (type << 1) | (i === blocks.length - 1 ? 1 : 0)).subarray(0, 3), bytes);
  if (content !== undefined) parts.push(Buffer.from((await xxhash64(content)).slice(8), "hex").reverse());
  return Buffer.concat(parts);
}
/** A block of up to 15 literals and one match of 3 to 34 bytes. The offset's extra bits lie below the stream's highest 1. */
function back(offset: number, length = 3, literals: Uint8Array = new Uint8Array(0)): Block {
  const code = 31 - Math.clz32(offset + 3);
  const bits = offset + 3;
  return compressed(
    literals.length << 3,
    ...literals,
    1,
    0x54,
    literals.length,
    code,
    length - 3,
    ...(code < 8 ? [bits] : [bits & 255, bits >>> 8]),
  );
}
const SUM = 4;
const SINGLE = 0x20;
/** Window_Descriptor of 1 KiB and of 1 MiB. */
const KIB_WINDOW = 0;
const MIB_WINDOW = 10 << 3;

describe("zstd frames made by hand", () => {
  it("takes raw and RLE blocks, skippable frames, empty frames, several of them", async () => {
    const plain = Buffer.concat([text(3000), Buffer.alloc(BLOCK, 7), noise(50), Buffer.alloc(0)]);
    const blocks = [raw(plain.subarray(0, 3000)), rle(7, BLOCK), raw(plain.subarray(3000 + BLOCK)), raw(Buffer.alloc(0))];
    const one = await frame([SUM, MIB_WINDOW], blocks, plain);
    const skippable = Buffer.concat([u32(0x184d2a5c), u32(300), noise(300)]);
    const nothing = Buffer.concat([u32(0x184d2a50), u32(0)]);
    const empty = await frame([SUM | SINGLE, 0], [raw(Buffer.alloc(0))], Buffer.alloc(0));
    const packed = Buffer.concat([skippable, one, nothing, empty, skippable, one]);
    for (const sizes of [WHOLE, { input: 1, output: 999 }, { input: 50, output: 1 }]) {
      const { bytes, end, remark } = unpackStream(zstd(), packed, sizes);
      sameBytes(bytes, Buffer.concat([plain, plain]));
      expect([end, remark]).toEqual([packed.length, null]);
    }
    expect(unpackStream(zstd(), skippable, WHOLE).bytes.length).toBe(0);
  });
  it("takes the frames that stand for zeros", () => {
    for (const length of [1, 1000, BLOCK, BLOCK + 1, 8 * MIB])
      sameBytes(unpackStream(zstd(), zstdZeros(length), { input: 3, output: 100_000 }).bytes, Buffer.alloc(length));
  });
  it("takes Frame_Content_Size in all its widths", async () => {
    const plain = text(300);
    const headers = [
      [SUM | SINGLE | 0x40, 300 - 256, 0],
      [SUM | SINGLE | 0x80, 300 & 255, 1, 0, 0],
      [SUM | SINGLE | 0xc0, 300 & 255, 1, 0, 0, 0, 0, 0, 0],
      [SUM | 0x40 | 1, KIB_WINDOW, 0, 300 - 256, 0],
    ];
    for (const header of headers)
      sameBytes(unpackStream(zstd(), await frame(header, [raw(plain)], plain), { input: 1, output: 7 }).bytes, plain);
  });
  it("remarks on what follows the last frame", async () => {
    const packed = await frame([SUM | SINGLE, 50], [raw(text(50))], text(50));
    for (const tail of ["x", "tail of the file", "\0\0\0\0\0"]) {
      const { bytes, end, remark } = unpackStream(zstd(), Buffer.concat([packed, Buffer.from(tail)]), { input: 5, output: 7 });
      sameBytes(bytes, text(50));
      expect(end).toBe(packed.length);
      expect(remark).toContain(`from ${packed.length} on`);
    }
  });
  it("refuses bad fields, naming them and their place", async () => {
    const plain = text(200);
    const good = await frame([SUM | SINGLE, 200], [raw(plain)], plain);
    const wrongSum = Buffer.from(good);
    wrongSum[good.length - 1]! ^= 1;
    // Raw literals "ab", then the sequences section.
    const bad = async (...sequences: number[]): Promise<Buffer> => frame([0, KIB_WINDOW], [compressed(2 << 3, 0x61, 0x62, ...sequences)]);
    const cases: [Uint8Array, string, number, RegExp][] = [
      [Buffer.concat([u32(0xfd2fb529), good]), "wrong-format", 0, /Magic_Number is 0xfd2fb529/],
      [Buffer.concat([u32(0xfd2fb527), good]), "unsupported", 0, /before 0.8/],
      [await frame([8, 0], [raw(plain)]), "corrupt", 4, /Reserved_bit/],
      [await frame([SINGLE | 1, 9, 200], [raw(plain)]), "unsupported", 5, /Dictionary_ID is 9/],
      [await frame([0, (17 << 3) | 1], [raw(plain)]), "limit", 5, /Window_Size is 150994944/],
      [await frame([SINGLE | 0x80, 1, 0, 0, 8], [raw(plain)]), "limit", 5, /Window_Size is 134217729/],
      [await frame([0, 0], [{ type: 3, size: 1, bytes: plain }]), "corrupt", 6, /Block_Type is 3/],
      [await frame([0, KIB_WINDOW], [raw(noise(1025))]), "corrupt", 6, /Block_Size is 1025/],
      [await frame([0, MIB_WINDOW], [rle(0, BLOCK + 1)]), "corrupt", 6, /Block_Size is 131073/],
      [await frame([SINGLE, 200], [raw(plain.subarray(1))]), "corrupt", 5, /Frame_Content_Size is 200, but the frame has 199/],
      [await frame([SINGLE, 199], [raw(plain.subarray(1)), rle(0, 1)]), "corrupt", 5, /Frame_Content_Size is 199, but the frame has 200/],
      [wrongSum, "corrupt", good.length - 4, /Content_Checksum/],
      [await frame([0, KIB_WINDOW], [compressed()]), "corrupt", 9, /Literals_Section_Header/],
      [await frame([0, KIB_WINDOW], [compressed(3 << 3, 0x61)]), "corrupt", 9, /Literals_Section_Header/],
      [await frame([0, KIB_WINDOW], [compressed(3, 0x01, 0x00, 5)]), "corrupt", 9, /Huffman_Tree_Description/],
      [await frame([0, KIB_WINDOW], [compressed(0x1d, 0x40, 0, 0x61, 0)]), "corrupt", 9, /larger than Block_Maximum_Size/],
      [await bad(), "corrupt", 9, /Sequences_Section_Header/],
      [await bad(0, 0), "corrupt", 9, /Sequences_Section_Header/],
      [await bad(1, 1, 0), "corrupt", 9, /Sequences_Section_Header/],
      [await bad(1, 0xfc, 0), "corrupt", 9, /FSE table/],
      [await bad(1, 0x54, 36, 0, 0, 1), "corrupt", 9, /FSE table/],
      [await bad(1, 0x54, 2, 0, 0, 0), "corrupt", 9, /sequences are damaged/],
      [await bad(1, 0x54, 3, 0, 0, 1), "corrupt", 9, /sequences are damaged/],
      [await bad(1, 0x54, 2, 0, 0, 2), "corrupt", 9, /sequences are damaged/],
      [await bad(1, 0x54, 1, 2, 0, 7), "corrupt", 9, /beyond Window_Size/],
      [await bad(1, 0x54, 0, 1, 0, 3), "corrupt", 9, /offset is 0/],
      [await bad(1, 0x54, 1, 3, 0, 8), "corrupt", 9, /beyond Window_Size/],
      [Buffer.alloc(0), "corrupt", 0, /truncated/],
    ];
    for (const [packed, code, at, message] of cases) {
      for (const sizes of [WHOLE, { input: 1, output: 300 }]) {
        const error = failure(zstd(), packed, sizes);
        expect(error.message).toMatch(message);
        expect([error.code, error.at]).toEqual([code, at]);
      }
    }
    // The same block with codes that are right: two literals, and three bytes of the first repeat offset, which is 1.
    sameBytes(unpackStream(zstd(), await bad(1, 0x54, 2, 0, 0, 1), WHOLE).bytes, Buffer.from("abbbb"));
  });
  it("holds matches to the window, however much came before", async () => {
    const plain = noise(5000);
    const blocks = Array.from({ length: 5 }, (_, i) => raw(plain.subarray(i * 1000, i * 1000 + 1000)));
    const packed = await frame([0, KIB_WINDOW], [...blocks, back(1024), raw(Buffer.alloc(0))]);
    sameBytes(unpackStream(zstd(), packed, WHOLE).bytes, Buffer.concat([plain, plain.subarray(5000 - 1024, 5000 - 1021)]));
    expect(failure(zstd(), await frame([0, KIB_WINDOW], [...blocks, back(1025)])).message).toMatch(/beyond Window_Size/);
    // The window moves on inside a block.
    expect(failure(zstd(), await frame([0, KIB_WINDOW], [...blocks, back(1025, 3, plain.subarray(0, 9))])).message).toMatch(/Window_Size/);
    expect(failure(zstd(), await frame([0, MIB_WINDOW], [raw(plain.subarray(0, 1023)), back(1024)])).message).toMatch(
      /beginning of the frame/,
    );
    // No frame sees the one before it.
    const two = Buffer.concat([await frame([0, MIB_WINDOW], blocks), await frame([0, MIB_WINDOW], [back(1024)])]);
    expect(failure(zstd(), two).message).toMatch(/beginning of the frame/);
  });
  it("takes matches that begin in the older part of the history, and overlap themselves", async () => {
    for (const offset of [1, 2, 3, 5, 15, 16, 17, 33, 34, 100, 1000])
      for (let count = 1; count < 6; count++) {
        const before = noise(900 * count, offset);
        const plain = Buffer.concat([before, Buffer.alloc(34)]);
        for (let i = before.length; i < plain.length; i++) plain[i] = plain[i - offset] as number;
        if (offset > before.length) continue;
        const blocks = Array.from({ length: count }, (_, i) => raw(before.subarray(i * 900, i * 900 + 900)));
        sameBytes(unpackStream(zstd(), await frame([SUM, KIB_WINDOW], [...blocks, back(offset, 34)], plain), WHOLE).bytes, plain);
      }
  });
});

const program = judge("zstd");
const pack = (options: readonly string[], input: Uint8Array): Uint8Array => program!.bytes([...options, "-c", "-q"], { input });

describe.skipIf(program === null)("what the zstd program makes", () => {
  const ramp = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => ((i * i) >>> 6) & 63));
  const mixture = Buffer.concat([text(900_000), Buffer.alloc(3 * MIB), noise(700_000), ramp, text(500_000, 9), text(900_000), noise(9)]);
  const STEPS: StepSizes[] = [WHOLE, { input: 100, output: MIB }, { input: 65_536, output: 10_007 }, { input: MIB, output: 999 }];

  it.each(["-1", "-3", "-19", "--ultra -22", "--fast=5", "--long=27", "-T2 -B524288", "--no-check", "--zstd=wlog=10", "--zstd=wlog=17 -9"])(
    "%s",
    (options) => {
      const packed = pack(options.split(" "), mixture);
      for (const sizes of STEPS) sameBytes(unpackStream(zstd(), packed, sizes).bytes, mixture);
    },
  );
  it("with and without the size, at any size", () => {
    for (const length of [0, 1, 2, 20, 255, 256, 257, 1000, 65_791, 65_792, BLOCK - 1, BLOCK, BLOCK + 1]) {
      const plain = mixture.subarray(880_000, 880_000 + length);
      for (const options of [["-3"], ["-19"], ["-3", `--stream-size=${length}`]]) {
        const packed = pack(options, plain);
        for (const sizes of [WHOLE, { input: 1, output: 1000 }]) sameBytes(unpackStream(zstd(), packed, sizes).bytes, plain);
      }
    }
  });
  it("with matches as far back as the window goes, round and round", () => {
    const far = noise(1000, 5);
    // Each piece comes again a little less than a window of 128 KiB later, at places that lie differently each time.
    const pieces = Array.from({ length: 60 }, (_, i) => Buffer.concat([far.subarray(0, 700 + i), noise(129_000 - 13 * i, i + 1)]));
    const plain = Buffer.concat(pieces);
    const packed = pack(["-19", "--zstd=wlog=17"], plain);
    expect(packed.length).toBeLessThan(plain.length - 30_000);
    for (const sizes of [WHOLE, { input: 9999, output: 7777 }]) sameBytes(unpackStream(zstd(), packed, sizes).bytes, plain);
  });
  it("goes on from a saved state at any place", () => {
    const skippable = Buffer.concat([u32(0x184d2a55), u32(3000), noise(3000)]);
    const packed = Buffer.concat([pack(["-3", "--zstd=wlog=17"], mixture), skippable, pack(["-19", "--no-check"], mixture)]);
    const expected = Buffer.concat([mixture, mixture]);
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 300_000 }), fc.integer({ min: 10_000, max: 500_000 }), fc.nat(), (input, output, seed) => {
        sameBytes(unpackStream(zstd(), packed, { input, output, between: sometimesRestored(zstd, seed + 1) }).bytes, expected);
      }),
      { numRuns: 8 },
    );
  });
  it("refused when cut anywhere, or when a bit is flipped", () => {
    const plain = Buffer.concat([text(700), Buffer.alloc(40), ramp.subarray(2000, 2300)]);
    const whole = pack(["-19"], plain);
    for (let length = 0; length < whole.length; length++)
      for (const sizes of [WHOLE, { input: 3, output: 2000 }])
        expect(failure(zstd(), whole.subarray(0, length), sizes)).toMatchObject({ code: "corrupt", at: length });
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const packed = Buffer.from(whole);
      packed[bit >>> 3]! ^= 1 << (bit & 7);
      try {
        // The window may become larger, and Dictionary_ID be there with a value of 0: that does no harm.
        sameBytes(unpackStream(zstd(), packed, { input: 700, output: 300 }).bytes, plain);
      } catch (error) {
        expect(error).toBeInstanceOf(DiskError);
      }
    }
  });
  it("accepted and refused as the program does", () => {
    const next = randomNumbers(11);
    const sources = [text(3000), Buffer.concat([text(900), Buffer.alloc(500), noise(200)])].map((plain) => pack(["-9", "--check"], plain));
    for (let i = 0; i < 60; i++) {
      const packed = Buffer.from(sources[i % sources.length] as Uint8Array);
      packed[i < 30 ? i : next() % packed.length]! ^= 1 << (next() % 8);
      const theirs = spawnSync(program!.path, ["-dcq"], { input: packed });
      let ours: Uint8Array | null = null;
      try {
        ours = unpackStream(zstd(), packed, WHOLE).bytes;
      } catch (error) {
        expect(error).toBeInstanceOf(DiskError);
      }
      expect(ours !== null).toBe(theirs.status === 0);
      if (ours !== null) sameBytes(ours, theirs.stdout);
    }
  });
  it("never hangs on damaged blocks without a checksum, whatever the steps", () => {
    const next = randomNumbers(13);
    const sources = [text(60_000), ramp.subarray(0, 50_000), mixture.subarray(880_000, 940_000)].flatMap((plain) =>
      ["-1", "-19"].map((level) => pack([level, "--no-check"], plain)),
    );
    for (let i = 0; i < 1000; i++) {
      const packed = Buffer.from(sources[i % sources.length] as Uint8Array);
      for (let flips = 1 + (next() % 3); flips > 0; flips--) packed[next() % (i % 2 ? 60 : packed.length)] = next() & 255;
      const outcomes = [WHOLE, { input: 5000, output: 10_000 }].map((sizes) => {
        try {
          return Buffer.from(unpackStream(zstd(), packed, sizes).bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DiskError);
          return Buffer.from((error as DiskError).message);
        }
      });
      sameBytes(outcomes[0] as Buffer, outcomes[1] as Buffer);
    }
  });
});

const folder = generatedFolder("malformed");
const malformed = folder === null ? null : join(folder, "box");
if (malformed !== null && existsSync(malformed))
  describe("malformed files", () => {
    it.each([
      ["win-max", "limit", /Window_Size/],
      ["win31", "limit", /Window_Size/],
      ["flip", "corrupt", /./],
      ["cut", "corrupt", /truncated/],
    ] as const)("%s is refused: %s", (name, code, message) => {
      const error = failure(zstd(), readFileSync(join(malformed as string, `${name}.raw.zst`)));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
    });
    it("bomb-1g is 1 GiB of zeros, in the memory of its window", () => {
      const packed = readFileSync(join(malformed as string, "bomb-1g.raw.zst"));
      const decoder = zstd();
      const output = new Uint8Array(MIB);
      const zeros = new Uint8Array(MIB);
      let size = 0;
      for (let at = 0, ended = false; !ended; ) {
        const step = decoder.step(packed.subarray(at), true, output);
        sameBytes(output.subarray(0, step.given), zeros.subarray(0, step.given));
        at += step.taken;
        size += step.given;
        ended = step.ended;
        if (size % (64 * MIB) === 0) expect(decoder.save().bytes).toBeLessThan(9 * MIB);
      }
      expect(size).toBe(2 ** 30);
    });
  });

it("is what the loader gives", async () => {
  sameBytes(unpackStream(await loadStreamDecoder("zstd"), zstdZeros(5000), WHOLE).bytes, Buffer.alloc(5000));
});
