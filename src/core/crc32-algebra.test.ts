import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { noise } from "../testing/disks.ts";
import { combineCrc32, crc32AfterZeros, repeatCrc32 } from "./crc32-algebra.ts";

test("the sum of two pieces follows from theirs", () => {
  const bytes = noise(10_000, 1);
  for (const cut of [0, 1, 4095, 9999, 10_000])
    expect(combineCrc32(crc32(bytes.subarray(0, cut)), crc32(bytes.subarray(cut)), bytes.length - cut)).toBe(crc32(bytes));
});

test("the sum with zeros behind follows without them", () => {
  for (const length of [0, 1, 2, 1000, 19_001]) {
    const bytes = noise(length % 20, length + 1);
    expect(crc32AfterZeros(crc32(bytes), length)).toBe(crc32(new Uint8Array(length), crc32(bytes)));
  }
  expect(crc32AfterZeros(0x1234_5678, 3 * 2 ** 40)).toBe(crc32AfterZeros(crc32AfterZeros(0x1234_5678, 2 ** 41), 2 ** 40));
});

test("the sum of a repeated piece follows from one", () => {
  const piece = noise(12, 2);
  for (const count of [0, 1, 2, 3, 7, 64, 1000])
    expect(repeatCrc32(crc32(piece), piece.length, count)).toBe(crc32(Buffer.concat(Array<Uint8Array>(count).fill(piece))));
  expect(repeatCrc32(crc32(new Uint8Array(4)), 4, 2 ** 18)).toBe(crc32(new Uint8Array(2 ** 20)));
});
