import { expect, test } from "vitest";
import { backingLosses, backingName, backingReference } from "./backing-file.ts";

const base = (format: string, isLayer = false) => ({ name: "b.img", format, size: 512, identity: null, details: {}, isLayer });
const whys = (...given: Parameters<typeof backingLosses>) => backingLosses(...given).map(({ severity, why }) => `${severity}: ${why}`);

test("a base that QEMU does not recognise is refused, unless the layer can state what it is", () => {
  expect(whys(base("vhdx"))).toEqual([]);
  expect(whys(base("asif"))).toEqual(["blocker: “b.img” is of the format asif"]);
  expect(whys(base("dmg"))).toEqual([
    "blocker: “b.img” is a DMG, which QEMU is sure of only where the layer states it, and this format cannot",
  ]);
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

test("the options of QEMU's block layer name a file when they say nothing else about it", () => {
  const meant = (stated: string, format: string | null = null) => {
    const { name, format: found } = backingReference(stated, format);
    return [name, found];
  };
  expect(meant('json:{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}')).toEqual(["base.qcow2", "qcow2"]);
  expect(meant('json:{"driver":"raw","file.driver":"file","file.filename":"/a/b \\"c\\".raw","cache.direct":true}')).toEqual([
    '/a/b "c".raw',
    "raw",
  ]);
  expect(meant('json:{"file":{"filename":"base","aio":"native"}}', "vmdk")).toEqual(["base", "vmdk"]);
  for (const other of [
    'json:{"driver":"raw","offset":512,"file":{"driver":"file","filename":"base.raw"}}',
    'json:{"driver":"qcow2","file":{"driver":"nbd","host":"h","filename":"base.raw"}}',
    'json:{"driver":"qcow2","file":{"driver":"file","filename":{"x":1}}}',
    'json:{"driver":"qcow2","file":"node1"}',
    "json:[1",
    "json:null",
    "json:7",
    "plain:name",
  ])
    expect(meant(other, "qcow2")).toEqual([other, "qcow2"]);
});
