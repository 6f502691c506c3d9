import * as zlib from "node:zlib";
import { expect } from "vitest";
import { createArena } from "../kernels/arena.ts";
import { inflateTwin } from "../kernels/inflate-twin.ts";
import { withCanaries } from "./canaries.ts";
import { noise, text } from "./streams.ts";

export const INPUT_SLACK = 16;
export const OUTPUT_SLACK = 320;
export const BAD_STREAM = -1;
export const TOO_LONG = -2;
export const TRUNCATED = -3;
export const LIMIT = 1 << 20;

export const { kernels, memory, input, output } = createArena();

/** Records like those of tables on a disk. */
export function records(length: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(length + 24));
  for (let i = 0; i * 24 < length; i++) {
    view.setUint32(i * 24, i, true);
    view.setBigUint64(i * 24 + 4, BigInt(i * 65536), true);
    view.setUint16(i * 24 + 12, Math.imul(i, 40503) & 0xffff, true);
  }
  return new Uint8Array(view.buffer, 0, length);
}

/** The kernel's answer, with every byte outside the slack checked to be untouched. */
export function inflate(packed: Uint8Array, limit: number, slack = 0xa5): { status: number; bytes: Uint8Array; consumed: number } {
  memory.fill(slack, input, input + packed.length + INPUT_SLACK);
  memory.set(packed, input);
  const status = withCanaries(
    memory,
    [
      [input - 512, input],
      [input + packed.length + INPUT_SLACK, input + packed.length + INPUT_SLACK + 512],
      [output - 512, output],
      [output + limit + OUTPUT_SLACK, output + limit + OUTPUT_SLACK + 512],
    ],
    () => kernels.inflate(input, packed.length, output, limit),
  );
  for (const byte of memory.subarray(input + packed.length, input + packed.length + INPUT_SLACK)) expect(byte).toBe(slack);
  return { status, bytes: memory.slice(output, output + Math.max(status, 0)), consumed: kernels.inflateConsumed() };
}

function zlibInflate(packed: Uint8Array, maxOutputLength = LIMIT): Uint8Array | null {
  try {
    return new Uint8Array(zlib.inflateRawSync(packed, { maxOutputLength }));
  } catch {
    return null;
  }
}

/** The kernel, its twin and zlib agree on a stream; returns the kernel's answer. */
export function expectAgreement(packed: Uint8Array): { status: number; bytes: Uint8Array; consumed: number } {
  const own = inflate(packed, LIMIT);
  const twin = inflateTwin(packed, LIMIT);
  const judge = zlibInflate(packed);
  expect(own.status >= 0).toBe(judge !== null);
  if (judge) expect(Buffer.compare(own.bytes, judge)).toBe(0);
  // Once the output is full the kernel may meet another error first; which one is not promised.
  if (twin.status === TOO_LONG) expect(own.status).toBeLessThan(0);
  else if (twin.status < 0) expect(own.status).toBe(twin.status);
  else {
    expect(Buffer.compare(own.bytes, twin.bytes)).toBe(0);
    expect(own.consumed).toBe(twin.consumed);
  }
  return own;
}

const { constants } = zlib;
export const SETTINGS: readonly [string, zlib.ZlibOptions][] = [
  ["level 0", { level: 0 }],
  ["level 1", { level: 1 }],
  ["level 6, window 9", { level: 6, windowBits: 9 }],
  ["level 6, window 12", { level: 6, windowBits: 12 }],
  ["level 9, window 15", { level: 9, windowBits: 15 }],
  ["level 9, small blocks", { level: 9, memLevel: 1 }],
  ["fixed codes", { strategy: constants.Z_FIXED }],
  ["Huffman only", { strategy: constants.Z_HUFFMAN_ONLY }],
  ["run lengths", { strategy: constants.Z_RLE }],
];
export const SOURCES: readonly [string, Uint8Array][] = [
  ["nothing", new Uint8Array(0)],
  ["one byte", Uint8Array.of(200)],
  ["zeros", new Uint8Array(70_000)],
  ["noise", noise(70_000)],
  ["text", text(200_000)],
  ["records", records(65_536)],
  ["half noise", new Uint8Array([...text(30_000), ...noise(30_000), ...text(30_000, 9)])],
  ["64 KiB", text(65_536, 11)],
  ["2 MiB", text(2 << 20, 12)],
];
