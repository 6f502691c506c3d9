import { describe, expect, it } from "vitest";
import { bytes, count, duration, exactBytes, offset, parseSize, percent, rate, readable, share, times, typedSize } from "./quantities.ts";

const plain = (text: string) => text.replaceAll("\u00a0", " ");

describe("quantities", () => {
  it.each([
    [0, "0 bytes"],
    [1, "1 byte"],
    [512, "512 bytes"],
    [1000, "0.977 KiB"],
    [1024, "1 KiB"],
    [65536, "64 KiB"],
    [1024 ** 2 - 1, "1 MiB"],
    [40 * 1024 ** 3, "40 GiB"],
    [11.2 * 1024 ** 3, "11.2 GiB"],
    [2 ** 53, "8 PiB"],
  ])("writes %d bytes as %s", (input, expected) => expect(plain(bytes(input))).toBe(expected));

  it.each([
    ["8 GiB", 8 * 1024 ** 3],
    ["8g", 8 * 1024 ** 3],
    [" 64.5M ", 64.5 * 1024 ** 2],
    ["8 GB", 8e9],
    ["1,048,576 bytes", 1024 ** 2],
    ["512", 512],
    ["0.3 KiB", null],
    ["1,5 GiB", null],
    ["-1G", null],
    ["8 apples", null],
    ["", null],
    ["9000000000 GiB", null],
  ])("reads %j as a size of %j", (text, expected) => expect(parseSize(text)).toBe(expected));

  it.each([
    [8 * 1024 ** 3, "8 GiB"],
    [64.5 * 1024 ** 2, "64.5 MiB"],
    [1024 ** 3 + 512, "1073742336 bytes"],
    [512, "512 bytes"],
    [1, "1 byte"],
  ])("writes %d bytes as %s, which is read as the same", (count, text) => {
    expect(typedSize(count)).toBe(text);
    expect(parseSize(text)).toBe(count);
  });

  it.each([
    ["The disk grows from 6291456 to 20971520 bytes", "The disk grows from 6 MiB to 20 MiB"],
    ["20971520 bytes instead of 6291456.", "20 MiB instead of 6 MiB."],
    ["Partition 1 ends at byte 6291456. It needs 16896 bytes.", "Partition 1 ends at byte 6291456. It needs 16.5 KiB."],
    ["not 6291457 bytes", "not 6291457 bytes"],
    ["disk-20971520.raw", "disk-20971520.raw"],
  ])("reads %j out as %j", (text, expected) => expect(plain(readable(text))).toBe(expected));

  it("writes exact bytes and offsets", () => {
    expect(plain(exactBytes(42949672960))).toBe("42,949,672,960 bytes");
    expect(offset(65536)).toBe("0x10000");
  });

  it.each([
    [0, "1 s"],
    [59.6, "1 min"],
    [200, "3 min 20 s"],
    [599, "9 min 59 s"],
    [601, "10 min"],
    [3590, "1 h"],
    [5400, "1 h 30 min"],
  ])("writes %d seconds as %s", (input, expected) => expect(plain(duration(input))).toBe(expected));

  it("rounds percent down, so that 100 means done", () => {
    expect(percent(999, 1000)).toBe(99);
    expect(percent(1000, 1000)).toBe(100);
    expect(percent(0, 0)).toBe(100);
    expect([times(2.04), times(21.4), times(8433)]).toEqual(["2", "21", "8,433"]);
    expect(share(0.125)).toBe("13%");
  });

  it("writes rates in the drives' unit and counts with their noun", () => {
    expect(plain(rate(312e6))).toBe("312 MB/s");
    expect(count(1, "disk")).toBe("1 disk");
    expect(count(1200, "range")).toBe("1,200 ranges");
  });
});
