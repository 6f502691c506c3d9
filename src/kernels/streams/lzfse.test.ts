import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ADC_BASE64 } from "../../../build/adc.js";
import { LZFSE_BASE64 } from "../../../build/lzfse.js";
import { DiskError } from "../../core/errors.ts";
import { withCanaries } from "../../testing/canaries.ts";
import { corpusFolder, judge } from "../../testing/judges.ts";
import { END_OF_STREAM, lmdBlock, lzvnBlock, type Triple, uncompressed, unpacked } from "../../testing/lzfse.ts";
import { noise, randomNumbers, sameBytes, text } from "../../testing/streams.ts";
import { CHUNK_ADC, CHUNK_LZFSE, CHUNK_RAW, udifChunks, udifImage } from "../../testing/udif.ts";
import { createAdcDecoder } from "./adc.ts";
import { loadUnitDecoder, type UnitDecoder } from "./index.ts";
import { kernelModule } from "./instance.ts";
import { createLzfseDecoder } from "./lzfse.ts";

const lzfse = createLzfseDecoder();
const adc = createAdcDecoder();
const stream = (...blocks: Uint8Array[]): Buffer => Buffer.concat([...blocks, END_OF_STREAM]);

function failure(decode: UnitDecoder, packed: Uint8Array, size: number): DiskError {
  try {
    decode(packed, size);
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
  throw new Error("unpacked what is damaged");
}

/** The kernels alone, with canaries around what they may touch. */
const guarded = (base64: string, name: string) => {
  const { exports, base, reserve } = kernelModule<{ heapBase(): number } & Record<string, (...numbers: number[]) => number>>(base64)();
  return (packed: Uint8Array, size: number): Uint8Array | number => {
    const [GAP, INPUT_SLACK, OUTPUT_SLACK] = [4096, 16, 32];
    const memory = reserve(packed.length + size + 4 * GAP);
    const input = base + GAP;
    const output = input + packed.length + INPUT_SLACK + GAP;
    const around = [
      [base, input],
      [input + packed.length, output],
      [output + size + OUTPUT_SLACK, output + size + OUTPUT_SLACK + GAP],
    ] as const;
    memory.set(packed, input);
    const made = withCanaries(memory, around, () =>
      (exports[name] as (...numbers: number[]) => number)(input, packed.length, output, size),
    );
    return made < 0 ? made : memory.slice(output, output + made);
  };
};

/** What 7-Zip unpacks, wrapped as the only chunk of a disk image whose size is a multiple of 512. */
const sevenZip = judge("7zz");
function unpackedBy7Zip(type: number, packed: Uint8Array, size: number): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "unit-"));
  try {
    writeFileSync(join(folder, "one.dmg"), udifImage(type, packed, size));
    return sevenZip!.bytes(["x", "-so", "-tdmg", join(folder, "one.dmg")]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Triples that stand for exactly `size` bytes. */
function triples(size: number, seed: number, reach: number, before = 0): Triple[] {
  const next = randomNumbers(seed);
  const all: Triple[] = [];
  let at = 0;
  let last = 0;
  while (at < size) {
    const run = Math.min(size - at, next() % 5 === 0 ? next() % 315 : next() % 20);
    const literals = text(run + 1, seed + at + 1).subarray(0, run);
    const room = size - at - run;
    const far = Math.min(at + before + run, reach);
    const fresh = last === 0 || next() % 4 > 0;
    const distance = far === 0 ? 0 : fresh ? 1 + (next() % far) : 0;
    const match = far === 0 || room < 3 ? 0 : Math.min(room, next() % 6 === 0 ? next() % 2359 : 3 + (next() % 40));
    if (run === 0 && match === 0) continue;
    all.push({ literals, match, distance });
    if (distance > 0) last = distance;
    at += run + match;
  }
  return all;
}

/** LZVN codes for triples with short runs and matches, in whichever form fits. */
function lzvn(all: readonly Triple[]): Buffer {
  const parts: Uint8Array[] = [];
  let last = 0;
  const put = (...bytes: number[]) => parts.push(Buffer.from(bytes));
  for (const { literals, match, distance } of all) {
    let rest = literals;
    while (rest.length > 3) {
      const run = rest.subarray(0, 271);
      if (run.length < 16) put(0xe0 | run.length);
      else put(0xe0, run.length - 16);
      parts.push(run);
      rest = rest.subarray(run.length);
    }
    let left = match;
    const d = distance === 0 ? last : distance;
    if (left >= 3 && !(distance === 0 && rest.length === 0)) {
      const top = rest.length << 6;
      const most = rest.length < 2 ? 8 : rest.length === 2 ? 6 : 4;
      const m = Math.min(left, most) - 3;
      if (distance === 0) {
        put(top | (m << 3) | 6);
        left -= m + 3;
      } else if (d < 1536) {
        put(top | (m << 3) | (d >> 8), d & 255);
        left -= m + 3;
      } else if (d < 16_384) {
        const medium = Math.min(left, 34) - 3;
        const word = (d << 2) | (medium & 3);
        put(0xa0 | (rest.length << 3) | (medium >> 2), word & 255, word >> 8);
        left -= medium + 3;
      } else {
        put(top | (m << 3) | 7, d & 255, d >> 8);
        left -= m + 3;
      }
      parts.push(rest);
      rest = rest.subarray(rest.length);
    }
    if (rest.length > 0) {
      put(0xe0 | rest.length);
      parts.push(rest);
    }
    for (; left > 0; put(0x0e, 0x16)) {
      const m = Math.min(left, 271);
      if (m < 16) put(0xf0 | m);
      else put(0xf0, m - 16);
      left -= m;
    }
    last = d;
  }
  put(6, 0, 0, 0, 0, 0, 0, 0);
  return Buffer.concat(parts);
}

interface Sample {
  readonly name: string;
  readonly packed: Buffer;
  readonly plain: Buffer;
  readonly judged: boolean;
}
function samples(size: number): Sample[] {
  const made: Sample[] = [
    { name: "uncompressed", packed: stream(uncompressed(noise(size)), uncompressed(Buffer.alloc(0))), plain: noise(size), judged: false },
  ];
  for (const seed of [1, 2, 3]) {
    const near = triples(size, seed, [1, 1000, 65_535][seed - 1] as number);
    made.push({ name: `lzvn ${seed}`, packed: stream(lzvnBlock(lzvn(near), size)), plain: unpacked(near), judged: true });
    const far = triples(size, seed, 262_139);
    for (const kind of ["bvx1", "bvx2"] as const)
      made.push({ name: `${kind} ${seed}`, packed: stream(lmdBlock(far, kind)), plain: unpacked(far), judged: kind === "bvx2" });
  }
  // Matches reach from each block into those before.
  const linked = triples(size / 2, 8, 50_000, size / 2);
  const start = unpacked(triples(size / 2, 7, 5000));
  made.push({
    name: "bvxn and bvx2",
    packed: stream(lzvnBlock(lzvn(triples(size / 2, 7, 5000)), size / 2), lmdBlock(linked, "bvx2", start)),
    plain: Buffer.concat([start, unpacked(linked, start)]),
    judged: true,
  });
  const first = noise(size / 4);
  const [second, third, fourth] = [4, 5, 6].map((seed, i) => triples(size / 4, seed, 50_000, ((i + 1) * size) / 4)) as [
    Triple[],
    Triple[],
    Triple[],
  ];
  const two = Buffer.concat([first, unpacked(second, first)]);
  const three = Buffer.concat([two, unpacked(third, two)]);
  made.push({
    name: "all kinds",
    packed: stream(uncompressed(first), lzvnBlock(lzvn(second), size / 4), lmdBlock(third, "bvx2", two), lmdBlock(fourth, "bvx1", three)),
    plain: Buffer.concat([three, unpacked(fourth, three)]),
    judged: false,
  });
  return made;
}

describe.each(samples(8192))("lzfse: $name", ({ packed, plain, judged }) => {
  const kernel = guarded(LZFSE_BASE64, "lzfse");
  it("gives the bytes, whatever follows the end mark", () => {
    sameBytes(lzfse(packed, plain.length), plain);
    sameBytes(lzfse(Buffer.concat([packed, noise(100)]), plain.length), plain);
    sameBytes(kernel(packed, plain.length) as Uint8Array, plain);
  });
  // 7-Zip 26 refuses bvx1, and every bvx- block at its end.
  if (judged)
    it.skipIf(sevenZip === null)("is the same to 7-Zip", () => {
      sameBytes(unpackedBy7Zip(CHUNK_LZFSE, packed, plain.length), plain);
    });
  it("refuses another size", () => {
    expect(failure(lzfse, packed, plain.length - 1)).toMatchObject({ code: "corrupt", message: expect.stringContaining("more than") });
    expect(failure(lzfse, packed, plain.length + 1)).toMatchObject({
      code: "corrupt",
      message: expect.stringContaining(`holds ${plain.length} bytes`),
    });
  });
  it("refuses every truncation", () => {
    const step = Math.max(1, Math.floor(packed.length / 700));
    for (let length = 0; length < packed.length; length += step) expect(kernel(packed.subarray(0, length), plain.length)).toBeLessThan(0);
  });
  it("touches nothing outside when damaged", () => {
    const next = randomNumbers(packed.length);
    for (let i = 0; i < 600; i++) {
      const damaged = Buffer.from(packed);
      for (let flips = 1 + (next() % 3); flips > 0; flips--) {
        const at = next() % 3 === 0 ? next() % Math.min(damaged.length, 800) : next() % damaged.length;
        damaged[at]! ^= 1 << (next() % 8);
      }
      kernel(damaged, plain.length);
    }
  });
});

describe("lzfse", () => {
  it("names the block that it stopped at", () => {
    const first = uncompressed(noise(50));
    expect(failure(lzfse, stream(first, Buffer.from("bvx3....")), 100)).toMatchObject({
      code: "corrupt",
      at: 58,
      message: expect.stringContaining("no block"),
    });
    expect(failure(lzfse, first, 50)).toMatchObject({ code: "corrupt", at: 58, message: expect.stringContaining("ends too soon") });
    expect(failure(lzfse, Buffer.alloc(0), 50)).toMatchObject({ code: "corrupt", at: 0 });
  });
  it("refuses LZVN codes that mean nothing, and matches from before the beginning", () => {
    const codes = [
      0x1e,
      0x26,
      0x2e,
      0x36,
      0x3e,
      ...Array.from({ length: 16 }, (_, i) => 0x70 + i),
      ...Array.from({ length: 16 }, (_, i) => 0xd0 + i),
    ];
    for (const code of codes)
      expect(failure(lzfse, stream(lzvnBlock(Buffer.from([0xe8, ...noise(8), code, 1, 1, 1, 6, 0, 0, 0, 0, 0, 0, 0]), 40)), 40).code).toBe(
        "corrupt",
      );
    for (const payload of [[0xf3], [0x00, 1], [0xe1, 9, 0x00, 2], [0xe1, 9, 0xf2], [0xe1, 9, 0x00, 0]])
      expect(failure(lzfse, stream(lzvnBlock(Buffer.from([...payload, 6, 0, 0, 0, 0, 0, 0, 0]), 4)), 4)).toMatchObject({
        code: "corrupt",
        at: 0,
      });
  });
  it("takes 40 MiB, then a small unit again", () => {
    const small = triples(4096, 9, 4000);
    const block = lmdBlock(small, "bvx2");
    const size = 40 << 20;
    sameBytes(lzfse(stream(uncompressed(Buffer.alloc(size - 4096)), block), size).subarray(-4096), unpacked(small));
    sameBytes(lzfse(stream(block), 4096), unpacked(small));
  });
});

/** Codes of all three kinds for exactly `size` bytes. */
function adcSample(size: number, seed: number): { packed: Buffer; plain: Buffer } {
  const next = randomNumbers(seed);
  const codes: number[] = [];
  const plain: number[] = [];
  while (plain.length < size) {
    const room = size - plain.length;
    const kind = next() % 3;
    let match = 0;
    let distance = 0;
    if (kind === 1 && plain.length > 0 && room >= 3) {
      match = Math.min(room, 3 + (next() % 16));
      distance = 1 + (next() % Math.min(1024, plain.length));
      codes.push(((match - 3) << 2) | ((distance - 1) >> 8), (distance - 1) & 255);
    } else if (kind === 2 && plain.length > 0 && room >= 4) {
      match = Math.min(room, 4 + (next() % 64));
      distance = 1 + (next() % Math.min(65_536, plain.length));
      codes.push(0x40 | (match - 4), (distance - 1) >> 8, (distance - 1) & 255);
    } else {
      const run = Math.min(room, 1 + (next() % 128));
      codes.push(0x80 | (run - 1));
      for (let i = 0; i < run; i++) {
        const byte = next() >>> 24;
        codes.push(byte);
        plain.push(byte);
      }
    }
    for (let i = 0; i < match; i++) plain.push(plain[plain.length - distance] as number);
  }
  return { packed: Buffer.from(codes), plain: Buffer.from(plain) };
}

describe("adc", () => {
  const kernel = guarded(ADC_BASE64, "adc");
  it.each([512, 8192, 262_144])("gives %d bytes", (size) => {
    for (const seed of [1, 2]) {
      const { packed, plain } = adcSample(size, seed);
      sameBytes(adc(packed, size), plain);
      sameBytes(kernel(packed, size) as Uint8Array, plain);
      sameBytes(adc(Buffer.concat([packed, noise(9)]), size), plain);
    }
  });
  it.skipIf(sevenZip === null).each([512, 8192, 262_144])("gives %d bytes as 7-Zip does", (size) => {
    for (const seed of [1, 2]) {
      const { packed, plain } = adcSample(size, seed);
      sameBytes(unpackedBy7Zip(CHUNK_ADC, packed, size), plain);
    }
  });
  it("refuses every truncation, codes that give too much, matches from before the beginning", () => {
    const { packed, plain } = adcSample(2048, 3);
    for (let length = 0; length < packed.length; length++) expect(kernel(packed.subarray(0, length), plain.length)).toBe(-3);
    expect(failure(adc, packed, plain.length + 1)).toMatchObject({
      code: "corrupt",
      at: packed.length,
      message: expect.stringContaining("ends too soon"),
    });
    expect(failure(adc, Buffer.from([0x81, 1, 2, 0x40, 0, 0]), 5)).toMatchObject({
      code: "corrupt",
      at: 3,
      message: expect.stringContaining("more than"),
    });
    expect(failure(adc, Buffer.from([0x83, 1, 2, 3, 4]), 3)).toMatchObject({
      code: "corrupt",
      at: 0,
      message: expect.stringContaining("more than"),
    });
    expect(failure(adc, Buffer.from([0x81, 1, 2, 0x00, 2]), 5)).toMatchObject({
      code: "corrupt",
      at: 3,
      message: expect.stringContaining("damaged"),
    });
    expect(failure(adc, Buffer.from([0x40, 0, 0]), 4)).toMatchObject({ code: "corrupt", at: 0 });
  });
  it("touches nothing outside when it decodes noise", () => {
    for (let seed = 1; seed < 400; seed++) kernel(noise(1 + (seed % 300), seed), 1 + ((seed * 37) % 3000));
  });
});

it("both are what the loader gives", async () => {
  sameBytes((await loadUnitDecoder("adc"))(Buffer.from([0x81, 1, 2]), 2), Buffer.from([1, 2]));
  sameBytes((await loadUnitDecoder("lzfse"))(stream(uncompressed(noise(5))), 5), noise(5));
});

const corpus = corpusFolder();
if (corpus !== null)
  describe("chunks of real images", () => {
    const chunks = (name: string) => udifChunks(readFileSync(join(corpus, "files/node-udif", name)));
    const raw = Buffer.alloc(5_242_880);
    for (const { type, at, packed } of chunks("compression-raw.dmg")) if (type === CHUNK_RAW) raw.set(packed, at);

    const images = [
      ["compression-lzfse.dmg", CHUNK_LZFSE, lzfse],
      ["compression-adc.dmg", CHUNK_ADC, adc],
    ] as const;
    it.each(images)("%s", (name, kind, decode) => {
      const own = chunks(name).filter(({ type }) => type === kind);
      expect(own.length).toBeGreaterThan(0);
      for (const { at, length, packed } of own) sameBytes(decode(packed, length), raw.subarray(at, at + length));
    });
    it.skipIf(sevenZip === null).each(images)("%s: 7-Zip gives the same", (name, kind) => {
      for (const { type, at, length, packed } of chunks(name))
        if (type === kind) sameBytes(unpackedBy7Zip(kind, packed, length), raw.subarray(at, at + length));
    });
  });
