import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as zlib from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ZSTD_ENCODE_BASE64 } from "../../build/zstd-encode.js";
import { withCanaries } from "../testing/canaries.ts";
import { kernelModule } from "./streams/instance.ts";
import { createZstd } from "./zstd.ts";
import { findZstdFrame } from "./zstd-frame.ts";

interface Encoder {
  heapBase(): number;
  zstdEncode(input: number, length: number, output: number): number;
  zstdRoom(length: number): number;
}

const UNIT_LIMIT = 2 << 20;
const PADDING = 16;
const SCRATCH = 1024;
const BLOCK = 65_536;

const { exports: kernel, base, reserve } = kernelModule<Encoder>(ZSTD_ENCODE_BASE64)();
const input = base + PADDING;
const output = input + UNIT_LIMIT + PADDING + 64;
const memory = reserve(output + kernel.zstdRoom(UNIT_LIMIT) + 64 - base);
const decoder = createZstd();

/** The judge. */
const zstd = (args: readonly string[], stdin: Uint8Array): Buffer =>
  execFileSync("zstd", ["-q", "-c", ...args], { input: stdin, maxBuffer: 64 << 20, stdio: ["pipe", "pipe", "ignore"] });
const hasZstd = (() => {
  try {
    return execFileSync("zstd", ["--version"]).length > 0;
  } catch {
    return false;
  }
})();

function noise(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 24;
  });
}
const repeated = (unit: Uint8Array, length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => unit[i % unit.length] as number);
/** Words in random order, with some of them rare; `least`: letters of the shortest. */
function text(length: number, seed = 7, least = 2, most = 13): Uint8Array {
  const picks = noise(length + 2, seed);
  const words = Array.from({ length: 256 }, (_, i) =>
    createHash("md5")
      .update(`${seed} ${i}`)
      .digest("base64")
      .slice(0, least + (i % (most - least))),
  );
  let out = "";
  for (let i = 0; out.length < length; i++) out += words[(picks[i] as number) & (picks[i + 1] as number)];
  return new TextEncoder().encode(out.slice(0, length));
}
/** Rows of 24 bytes with a counter, a date that seldom changes and a little noise. */
function records(length: number): Uint8Array {
  const picks = noise(length, 5);
  return Uint8Array.from({ length }, (_, i) => {
    const row = Math.floor(i / 24);
    const column = i % 24;
    if (column < 4) return (row >>> (8 * column)) & 255;
    return column === 9 || column === 17 ? (picks[i] as number) : (row >> 7) + column;
  });
}
/** Frequencies that make a tree which is one chain, spread so that hardly anything is met twice. */
function chain(length: number): Uint8Array {
  const picks = noise(length * 3, 9);
  return Uint8Array.from({ length }, (_, i) =>
    Math.min(40, 2 * Math.clz32(((picks[3 * i] as number) << 16) | ((picks[3 * i + 1] as number) << 8) | (picks[3 * i + 2] as number))),
  );
}

/** The kernel's frame; every byte outside its room and the source is checked to be untouched. */
function encode(source: Uint8Array, padding = 0): Uint8Array {
  const room = kernel.zstdRoom(source.length);
  memory.fill(padding, input - PADDING, input);
  memory.set(source, input);
  memory.fill(padding, input + source.length, input + source.length + PADDING);
  const around = [
    [output - 64, output],
    [output + room, output + room + 64],
  ] as const;
  const size = withCanaries(memory, around, () => kernel.zstdEncode(input, source.length, output));
  expect(Buffer.compare(memory.subarray(input, input + source.length), source)).toBe(0);
  expect(size).toBeLessThanOrEqual(room - SCRATCH);
  return memory.slice(output, output + size);
}
const expectSame = (actual: Uint8Array, expected: Uint8Array): void => expect(Buffer.compare(actual, expected)).toBe(0);

function expectRoundTrip(source: Uint8Array): Uint8Array {
  const frame = encode(source);
  const { start, end, form, checksum } = findZstdFrame(frame);
  // The window is the content: no decoder needs more than the unit.
  expect({ start, end, checksum }).toEqual({ start: 0, end: frame.length, checksum: null });
  expect(form).toMatchObject({ window: source.length, contentSize: source.length });
  const unpacked = new Uint8Array(source.length);
  decoder.decompress(frame, unpacked);
  expectSame(unpacked, source);
  expect(frame.length).toBeLessThanOrEqual(source.length + 9 + 3 * Math.max(1, Math.ceil(source.length / BLOCK)));
  return frame;
}

const SIZES = [
  0,
  1,
  2,
  3,
  4,
  5,
  7,
  8,
  9,
  12,
  13,
  15,
  16,
  17,
  31,
  32,
  33,
  63,
  255,
  256,
  257,
  511,
  512,
  1023,
  1024,
  1025,
  4095,
  4096,
  16_383,
  16_384,
  65_535,
  65_536,
  65_537,
  65_791,
  65_792,
  131_073,
  2 << 20,
];
const KINDS: readonly [string, (length: number) => Uint8Array][] = [
  ["zeros", (length) => new Uint8Array(length)],
  ["noise", (length) => noise(length)],
  ["text", (length) => text(length)],
  ["short words", (length) => text(length, 3, 4, 6)],
  ["records", records],
  ["runs", (length) => Uint8Array.from({ length }, (_, i) => Math.floor(Math.sqrt(i)))],
  ["a period of 3", (length) => repeated(noise(3), length)],
  ["a period of 4,097", (length) => repeated(noise(4097), length)],
  ["a period of 65,537", (length) => repeated(noise(65_537), length)],
  ["a period of 1,000,000", (length) => repeated(noise(1_000_000), length)],
  ["compressed data", (length) => new Uint8Array(zlib.deflateRawSync(text(length * 3 + 100))).subarray(0, length)],
  ["text, then noise", (length) => new Uint8Array([...text(length >> 1), ...noise(length - (length >> 1))])],
  ["two symbols", (length) => noise(length).map((byte) => byte & 1)],
  ["a few of 256 symbols most of the time", (length) => noise(length).map((byte, i) => (i % 5 ? byte & 7 : byte))],
  ["a chain of frequencies", chain],
  ["seven of eight bits", (length) => noise(length).map((byte) => byte & 127)],
];

describe("zstdEncode", () => {
  const sourcesOf = (make: (length: number) => Uint8Array): Uint8Array[] => {
    const longest = make(UNIT_LIMIT);
    return SIZES.map((size) => (size < UNIT_LIMIT && size > 65_537 ? make(size) : longest.subarray(0, size)));
  };
  it.each(KINDS)("%s of every size", (_name, make) => {
    for (const source of sourcesOf(make)) expectRoundTrip(source);
  });

  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(100)).map(([unit, times]) => repeated(unit, unit.length * times)),
  );
  const anyBytes = fc.array(piece, { maxLength: 12 }).map((pieces) => Buffer.concat(pieces));
  it("any bytes", () => {
    fc.assert(
      fc.property(anyBytes, (source) => void expectRoundTrip(source)),
      { numRuns: 300 },
    );
  });

  describe.skipIf(!hasZstd)("zstd unpacks", () => {
    const expectUnpacked = (sources: readonly Uint8Array[]) =>
      expectSame(zstd(["-d"], Buffer.concat(sources.map((source) => encode(source)))), Buffer.concat(sources));
    it.each(KINDS)("%s of every size", (_name, make) => expectUnpacked(sourcesOf(make)));
    it("any bytes", () => expectUnpacked(fc.sample(anyBytes, 300)));
  });

  it("finds what lies far back, and names offsets again", () => {
    expect(encode(repeated(noise(65_000), 65_000 * 2)).length).toBeLessThan(65_200);
    expect(encode(repeated(noise(1_000_000), UNIT_LIMIT)).length).toBeLessThan(1_001_000);
    // Between two matches from one distance some bytes differ.
    const first = noise(20_000, 3);
    const second = first.map((byte, i) => (i % 50 === 0 ? byte + 1 : byte));
    expect(encode(Buffer.concat([first, second])).length).toBeLessThan(21_600);
  });

  it("does not name offsets of a block that is stored", () => {
    // One short match, which saves nothing; the next block begins with matches at the same offset.
    const stored = noise(BLOCK);
    stored.copyWithin(100, 50, 56);
    const source = Buffer.concat([stored, repeated(noise(50, 8), 20_000)]);
    expect(findZstdFrame(expectRoundTrip(source)).blocks.map(({ type }) => type)).toEqual(["raw", "compressed"]);
  });

  it("gives the same frame whatever came before and lies around", () => {
    for (const source of [text(65_536), text(3001), noise(100), new Uint8Array(5), text(200_000), records(9000)]) {
      const first = encode(source);
      encode(text(100_000, 5));
      expectSame(encode(source, 0xff), first);
      encode(noise(70_000));
      encode(records(65_536));
      expectSame(encode(source, source.at(-1) as number), first);
    }
  });

  it("reads nothing past the padding, where the memory ends", () => {
    for (const source of [text(65_536), new Uint8Array(4096), noise(7), text(1), records(65_537)]) {
      const place = memory.length - PADDING - source.length;
      memory.set(source, place);
      const size = kernel.zstdEncode(place, source.length, input);
      const unpacked = new Uint8Array(source.length);
      decoder.decompress(memory.slice(input, input + size), unpacked);
      expectSame(unpacked, source);
    }
  });

  it.skipIf(!hasZstd)("is near zstd -3, by 2 % at most, on clusters of real files", () => {
    const compiler = fileURLToPath(new URL("../../node_modules/assemblyscript/dist/assemblyscript.js", import.meta.url));
    const folder = mkdtempSync(join(tmpdir(), "zstd-encode-"));
    try {
      for (const size of [65_536, UNIT_LIMIT]) {
        const clusters = [process.execPath, compiler].flatMap((path) => clustersOf(path, size));
        const names = clusters.map((_, i) => join(folder, `${size}-${i}`));
        clusters.forEach((cluster, i) => {
          writeFileSync(names[i] as string, cluster);
        });
        execFileSync("zstd", ["-q", "-3", "--no-check", ...names]);
        const judge = names.reduce((sum, name) => sum + statSync(`${name}.zst`).size, 0);
        const own = clusters.reduce((sum, cluster) => sum + encode(cluster).length, 0);
        expect(own / judge).toBeLessThan(1.02);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Clusters spread over a file, as an image would hold them: 100 of them, or 16 MiB. */
function clustersOf(path: string, size: number): Uint8Array[] {
  const file = readFileSync(path);
  const count = Math.min(Math.floor(file.length / size), 100, (16 << 20) / size);
  return Array.from({ length: count }, (_, i) => {
    const start = Math.floor((i * file.length) / count / size) * size;
    return file.subarray(start, start + size);
  });
}
