import { expect, test } from "vitest";
import { backingLosses, backingName } from "./backing-file.ts";

const base = (format: string, isLayer = false) => ({ name: "b.img", format, size: 512, identity: null, details: {}, isLayer });
const whys = (...given: Parameters<typeof backingLosses>) => backingLosses(...given).map(({ severity, why }) => `${severity}: ${why}`);

test("a base that QEMU does not recognise is refused, unless the layer can state what it is", () => {
  expect(whys(base("vhdx"))).toEqual([]);
  expect(whys(base("dmg"))).toEqual(["blocker: “b.img” is of the format dmg"]);
  expect(whys(base("dmg"), ["dmg"])).toEqual([]);
});

test("so is a layer of a format whose parents QEMU does not follow", () => {
  expect(whys(base("vmdk", true))).toEqual([]);
  expect(whys(base("vhdx", true))).toEqual(["blocker: “b.img” is a layer itself, which QEMU does not follow in the format vhdx"]);
});

test("so is the first part of a split disk", () => {
  expect(whys({ ...base("raw"), isSplit: true })).toEqual([
    "blocker: “b.img” is the first of several files, and QEMU reads this one alone",
  ]);
});

test("a colon does not make a protocol of a name", () => {
  expect(backingName({ name: "nbd:disk.raw" })).toBe("./nbd:disk.raw");
  expect(backingName({ name: "disk.raw" })).toBe("disk.raw");
});
