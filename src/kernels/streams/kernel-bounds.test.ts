import * as zlib from "node:zlib";
import { expect, it } from "vitest";
import { INFLATE_STREAM_BASE64 } from "../../../build/inflate-stream.js";
import { LZ4_BASE64 } from "../../../build/lz4.js";
import { noise, randomNumbers, text } from "../../testing/streams.ts";
import { kernelModule } from "./instance.ts";

type Numbers = (...numbers: number[]) => number;

const CANARY = 0x5c;
const GAP = 4096;
const AREA = 1 << 17;
const PIECE = 5000;

/** A memory with an input and an output in it, and canaries around both. */
function guarded<Exports extends { heapBase(): number }>(base64: string, inputSlack: number, outputSlack: number) {
  const { exports, base, reserve } = kernelModule<Exports>(base64)();
  const input = base + GAP;
  const output = input + PIECE + inputSlack + GAP;
  const end = output + AREA + outputSlack + GAP;
  const memory = reserve(end - base);
  const untouched = (from: number, to: number) =>
    expect(Buffer.compare(memory.subarray(from, to), Buffer.alloc(to - from, CANARY))).toBe(0);
  return {
    exports,
    input,
    output,
    /** The packed bytes at `input`, canaries everywhere around them and behind `outputAt`. */
    load(packed: Uint8Array, outputAt: number): void {
      memory.fill(CANARY, base, output);
      memory.fill(CANARY, outputAt, end);
      memory.set(packed, input);
    },
    /** `length` bytes were given as input, `room` asked for at `outputAt`. */
    check(length: number, outputAt: number, room: number): void {
      untouched(base, input);
      untouched(input + length, output);
      untouched(outputAt + room + outputSlack, end);
    },
  };
}

function damaged(packed: Uint8Array, next: () => number): Buffer {
  const copy = Buffer.from(packed);
  for (let flips = next() % 4; flips > 0; flips--) copy[next() % copy.length]! ^= 1 << (next() % 8);
  return copy;
}

it("inflate-stream touches nothing outside its input, output and slack", () => {
  const { exports, input, output, load, check } = guarded<{ heapBase(): number } & Record<string, Numbers>>(INFLATE_STREAM_BASE64, 16, 320);
  const { inflateStart, inflateRun, inflateTaken, inflateGiven } = exports as Record<string, Numbers>;
  const next = randomNumbers(5);
  const source = Buffer.concat([text(20_000), Buffer.alloc(30_000), noise(3000), text(10_000, 3)]);
  for (let i = 0; i < 300; i++) {
    const packed = damaged(zlib.deflateRawSync(source, { level: i % 10, memLevel: 1 + (i % 9) }), next);
    inflateStart!();
    let at = output;
    let taken = 0;
    for (let status = 0, rounds = 0; status >= 0 && status !== 2 && at < output + AREA - 2 * PIECE && rounds < 200; rounds++) {
      const part = packed.subarray(taken, taken + 1 + (next() % PIECE));
      const room = 1 + (next() % PIECE);
      load(part, at);
      status = inflateRun!(input, part.length, at, room, output);
      check(part.length, at, room);
      expect(inflateTaken!()).toBeLessThanOrEqual(part.length);
      expect(inflateGiven!()).toBeLessThanOrEqual(room + 260);
      taken += inflateTaken!();
      at += inflateGiven!();
    }
  }
});

it("lz4 touches nothing outside its input, output and slack", () => {
  const { exports, input, output, load, check } = guarded<{ heapBase(): number } & Record<string, Numbers>>(LZ4_BASE64, 48, 32);
  const { lz4Block, lz4Run, lz4Taken, lz4Given } = exports as Record<string, Numbers>;
  const next = randomNumbers(6);
  // 90 literals, a long match, then the same with other lengths, up to the last literals.
  const sequences = Array.from({ length: 60 }, (_, i) =>
    Buffer.concat([Buffer.from([0xff, 75 + i]), noise(90 + i, i + 1), Buffer.from([1 + i, 0, 255, i])]),
  );
  const block = Buffer.concat([...sequences, Buffer.from([0x50]), noise(5)]);
  for (let i = 0; i < 600; i++) {
    const packed = i % 3 === 0 ? noise(1 + (next() % 3000), i + 1) : damaged(block, next);
    lz4Block!(packed.length, 60_000, 0);
    let at = output;
    let taken = 0;
    for (let status = 0, rounds = 0; status >= 0 && status !== 2 && at < output + AREA - 2 * PIECE && rounds < 200; rounds++) {
      const part = packed.subarray(taken, taken + 1 + (next() % PIECE));
      const room = 1 + (next() % PIECE);
      load(part, at);
      status = lz4Run!(input, part.length, at, room, output);
      check(part.length, at, room);
      expect(lz4Taken!()).toBeLessThanOrEqual(part.length);
      expect(lz4Given!()).toBeLessThanOrEqual(room);
      taken += lz4Taken!();
      at += lz4Given!();
    }
    expect(at - output).toBeLessThanOrEqual(60_000);
  }
});
