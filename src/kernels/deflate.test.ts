import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as zlib from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withCanaries } from "../testing/canaries.ts";
import { createArena } from "./arena.ts";
import { inflateTwin } from "./inflate-twin.ts";

const NO_ROOM = -1;
const PADDING = 16;
const ROOM = (2 << 20) + 4096;

const { kernels, memory, input, output } = createArena();

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
/** Words in random order, with some of them rare. */
function text(length: number, seed = 7): Uint8Array {
  const picks = noise(length, seed);
  const words = Array.from({ length: 256 }, (_, i) =>
    createHash("md5")
      .update(`${seed} ${i}`)
      .digest("base64")
      .slice(0, 2 + (i % 11)),
  );
  let out = "";
  for (let i = 0; out.length < length; i++) out += `${words[(picks[i] as number) & (picks[i + 1] as number)]} `;
  return new TextEncoder().encode(out.slice(0, length));
}

/** The kernel's stream; every byte outside `room` and the source is checked to be untouched. */
function deflate(source: Uint8Array, window = 4096, room = ROOM, padding = 0, effort = 0): Uint8Array | number {
  memory.set(source, input);
  memory.fill(padding, input + source.length, input + source.length + PADDING);
  const around = [
    [output - 64, output],
    [output + room, output + room + 64],
  ] as const;
  const size = withCanaries(memory, around, () => kernels.deflate(input, source.length, output, room, window, effort));
  expect(Buffer.compare(memory.subarray(input, input + source.length), source)).toBe(0);
  return size < 0 ? size : memory.slice(output, output + size);
}
function expectSame(actual: Uint8Array | number, expected: Uint8Array): void {
  if (typeof actual === "number") throw new Error(`deflate returned ${actual}`);
  expect(Buffer.compare(actual, expected)).toBe(0);
}
/** 100 clusters at most, evenly spread. */
function clustersOf(path: string): Uint8Array[] {
  const file = readFileSync(path);
  const step = Math.max(65_536, Math.floor(file.length / 100));
  const starts = Array.from({ length: Math.ceil(file.length / step) }, (_, i) => i * step);
  return starts.map((start) => file.subarray(start, start + 65_536));
}
function packed(source: Uint8Array, window = 4096, effort = 0): Uint8Array {
  const result = deflate(source, window, ROOM, 0, effort);
  if (typeof result === "number") throw new Error(`deflate returned ${result}`);
  return result;
}

/** zlib with no more history than the window, so that a match that reaches too far fails: it gets the stream in small steps. */
function inflateNarrow(stream: Uint8Array, windowBits: number): Uint8Array {
  return new Uint8Array(zlib.inflateRawSync(stream, { windowBits, chunkSize: 64 }));
}
function expectRoundTrip(source: Uint8Array, windowBits: number, effort: number): Uint8Array {
  const stream = packed(source, 2 ** windowBits, effort);
  expect(Buffer.compare(inflateNarrow(stream, windowBits), source)).toBe(0);
  memory.set(stream, input);
  expect(kernels.inflate(input, stream.length, output, source.length)).toBe(source.length);
  expect(kernels.inflateConsumed()).toBe(stream.length);
  expect(Buffer.compare(memory.subarray(output, output + source.length), source)).toBe(0);
  // Stored blocks at worst: five bytes for each of 32 KiB.
  expect(stream.length).toBeLessThanOrEqual(source.length + 5 + 5 * Math.floor(source.length / 32_768));
  return stream;
}

const SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 63, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_073, 2 << 20];
const KINDS: readonly [string, (length: number) => Uint8Array][] = [
  ["zeros", (length) => new Uint8Array(length)],
  ["noise", (length) => noise(length)],
  ["text", (length) => text(length)],
  ["runs", (length) => Uint8Array.from({ length }, (_, i) => Math.floor(Math.sqrt(i)))],
  ["a period of 3", (length) => repeated(noise(3), length)],
  ["a period of 4,096", (length) => repeated(noise(4096), length)],
  ["a period of 4,097", (length) => repeated(noise(4097), length)],
  ["a period of 32,768", (length) => repeated(noise(32_768), length)],
  ["compressed data", (length) => new Uint8Array(zlib.deflateRawSync(text(length * 3 + 100))).subarray(0, length)],
  ["text, then noise", (length) => new Uint8Array([...text(length >> 1), ...noise(length - (length >> 1))])],
  ["two symbols", (length) => noise(length).map((byte) => byte & 1)],
];

describe.each([
  [12, 0],
  [15, 0],
  [9, 0],
  [15, 1],
])("deflate with a window of 2^%i and effort %i", (windowBits, effort) => {
  it.each(KINDS)("%s of every size", (_name, make) => {
    const longest = make(2 << 20);
    for (const size of SIZES) expectRoundTrip(size < 2 << 20 && size > 65_537 ? make(size) : longest.subarray(0, size), windowBits, effort);
  });
  it("any bytes", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(100)).map(([unit, times]) => repeated(unit, unit.length * times)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const source = Buffer.concat(pieces);
        const stream = expectRoundTrip(source, windowBits, effort);
        const twin = inflateTwin(stream, source.length);
        expect(twin.status).toBe(0);
        expect(Buffer.compare(twin.bytes, source)).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

describe("deflate", () => {
  it("uses matches up to the window, and none beyond", () => {
    const unit = noise(4096, 3);
    expect(packed(repeated(unit, 65_536), 4096).length).toBeLessThan(10_000);
    expect(packed(repeated(unit, 65_536), 4095).length).toBeGreaterThan(65_000);
    expect(packed(repeated(noise(32_768), 131_072), 32_768).length).toBeLessThan(70_000);
    expect(() => inflateNarrow(packed(repeated(unit, 65_536), 4096), 11)).toThrow(/too far back/);
  });
  it("takes each of the three forms", () => {
    const form = (source: Uint8Array) => ((packed(source)[0] as number) >> 1) & 3;
    expect(form(noise(5000))).toBe(0);
    expect(form(new TextEncoder().encode("short text"))).toBe(1);
    expect(form(text(5000))).toBe(2);
  });
  it("gives each kind of content codes of its own", () => {
    // Four bits for each byte in either part, five in a block of both. No match is worth taking with a window of 1.
    const change = 3 * 8192;
    const source = noise(65_536).map((byte, i) => (byte & 15) | (i < change ? 0 : 16));
    expect(packed(source, 1).length).toBeLessThan((source.length * 4.1) / 8);
    expect(
      packed(
        noise(65_536).map((byte) => byte & 15),
        1,
      ).length,
    ).toBeGreaterThan((source.length * 3.9) / 8);
  });
  it("keeps codes to the length that the format allows", () => {
    // Such frequencies make a tree that is one chain. Evenly spread, with a window of 1, no match changes them.
    const counts = [1, 1];
    while (counts.length < 19) counts.push((counts.at(-1) as number) + (counts.at(-2) as number) + 1);
    const spread = counts.flatMap((count, symbol) => Array.from({ length: count }, (_, i) => [(i + 0.5) / count, symbol] as const));
    expect(spread.length).toBeLessThan(32_768); // one block
    const source = Uint8Array.from(
      spread.sort(([a], [b]) => a - b),
      ([, symbol]) => symbol,
    );
    expect(Buffer.compare(zlib.inflateRawSync(packed(source, 1)), source)).toBe(0);
    expect(inflateTwin(packed(source, 1), source.length).status).toBe(0);
  });
  it("never leaves its room, and needs no more than it uses", () => {
    for (const source of [new Uint8Array(0), text(10), text(3000), noise(3000), new Uint8Array(70_000), text(70_000), noise(140_000)]) {
      const whole = packed(source);
      const { length } = whole;
      for (let less = 1; less <= Math.min(length, 40); less++) expect(deflate(source, 4096, length - less)).toBe(NO_ROOM);
      expect(deflate(source, 4096, 0)).toBe(NO_ROOM);
      expect(deflate(source, 4096, length >> 1)).toBe(NO_ROOM);
      for (let more = 0; more < 12; more++) expectSame(deflate(source, 4096, length + more), whole);
    }
  });
  it("gives the same stream whatever came before and lies behind", () => {
    const long = repeated(noise(3000), 140_000);
    for (const source of [text(65_536), text(3001), noise(100), new Uint8Array(5), text(200_000), long]) {
      const first = packed(source);
      packed(text(100_000, 5));
      expectSame(deflate(source, 4096, ROOM, 0xff), first);
      packed(noise(70_000));
      expectSame(deflate(source, 4096, ROOM, source.at(-1) as number), first);
    }
  });
  it.each([
    ["level 6, by 2 % at most", 12, 0, 6, 1.02],
    ["level 6, by 2 % at most", 15, 0, 6, 1.02],
    ["level 9, and smaller", 12, 1, 9, 1],
    ["level 9, and smaller", 15, 1, 9, 1],
  ])("is near zlib's %s, on clusters of real files; window 2^%i, effort %i", (_name, windowBits, effort, level, most) => {
    // Programs and text that every checkout has. Clusters spread over the files, as an image would hold them.
    const compiler = fileURLToPath(new URL("../../node_modules/assemblyscript/dist/assemblyscript.js", import.meta.url));
    const files = [process.execPath, compiler];
    let own = 0;
    let judge = 0;
    for (const cluster of files.flatMap(clustersOf)) {
      own += packed(cluster, 2 ** windowBits, effort).length;
      judge += zlib.deflateRawSync(cluster, { level, windowBits }).length;
    }
    expect(own / judge).toBeLessThan(most);
  });
  it("reads nothing past the padding, where the memory ends", () => {
    for (const source of [text(65_536), new Uint8Array(4096), noise(7), text(1)]) {
      const place = memory.length - PADDING - source.length;
      memory.set(source, place);
      const size = kernels.deflate(place, source.length, output, ROOM, 4096, 0);
      expect(Buffer.compare(zlib.inflateRawSync(memory.slice(output, output + size)), source)).toBe(0);
    }
  });
});
