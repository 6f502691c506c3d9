import { expect, test } from "vitest";
import { guidBytes, guidFrom, guidText, uuidBytes, uuidFrom, uuidText } from "./uuid.ts";

const TEXT = "01234567-89ab-4cde-8f01-23456789abcd";
const BYTES = Uint8Array.of(0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4c, 0xde, 0x8f, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd);
const GUID = Uint8Array.of(0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xde, 0x4c, 0x8f, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd);

test("text and bytes, in both orders", () => {
  expect(uuidText(BYTES)).toBe(TEXT);
  expect(guidText(GUID)).toBe(TEXT);
  for (const text of [TEXT, TEXT.toUpperCase(), `{${TEXT}}`]) {
    expect(uuidBytes(text)).toEqual(BYTES);
    expect(guidBytes(text)).toEqual(GUID);
  }
});

test.each(["", "{", `{${TEXT}`, `${TEXT}}`, TEXT.replaceAll("-", ""), `${TEXT}0`, TEXT.replace("a", "g")])("“%s” is none", (text) => {
  expect(uuidBytes(text)).toBeNull();
  expect(guidBytes(text)).toBeNull();
});

test("ids from a seed are of version 4; the nil id is none", () => {
  const seed = new Uint8Array(16).fill(0xff);
  expect(uuidText(uuidFrom(seed))).toBe("ffffffff-ffff-4fff-bfff-ffffffffffff");
  expect(guidText(guidFrom(seed))).toBe("ffffffff-ffff-4fff-bfff-ffffffffffff");
  expect(uuidText(new Uint8Array(16))).toBeNull();
  expect(guidText(new Uint8Array(16))).toBeNull();
  expect(uuidText(uuidFrom(new Uint8Array(0)))).toBe("00000000-0000-4000-8000-000000000000");
});
