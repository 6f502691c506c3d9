import { describe, expect, it } from "vitest";
import type { FormatCard } from "../workers/engine-api.ts";
import { closingSeconds, defaultTarget, groupTargets, shortName, suggestedStem } from "./target-defaults.ts";

const format = (id: string, ...extensions: string[]): FormatCard => ({
  id,
  label: id,
  extensions,
  wraps: false,
  options: [],
  layers: false,
});
const gzip: FormatCard = { ...format("gzip", "gz"), wraps: true, options: null };
const FORMATS = [format("raw", "raw", "img"), format("qcow2", "qcow2"), format("vmdk", "vmdk"), format("vdi", "vdi"), gzip];

describe("target defaults", () => {
  it.each([
    ["vmdk", "qcow2"],
    ["vdi", "qcow2"],
    ["raw", "qcow2"],
    ["qcow2", "vmdk"],
  ])("offers for %s first %s", (source, target) => expect(defaultTarget(source, FORMATS)).toBe(target));

  it("makes do with what there is", () => {
    expect(defaultTarget("qcow2", [format("qcow2"), format("raw")])).toBe("raw");
    expect(defaultTarget("raw", [format("raw")])).toBe("raw");
    expect(defaultTarget("raw", [])).toBe("");
  });

  it.each([
    ["web01.vmdk", "qcow2", "web01"],
    ["web01.VMDK", "qcow2", "web01"],
    ["web.01", "qcow2", "web.01"],
    ["backup.qcow2.bak", "raw", "backup.qcow2.bak"],
    [".img", "raw", ".img"],
    // Never the source's own name: it would be offered to be replaced.
    ["web01.qcow2", "qcow2", "web01-converted"],
    ["WEB01.QCOW2", "qcow2", "WEB01-converted"],
    ["web01.img", "raw", "web01"],
    ["web01.img.gz", "qcow2", "web01"],
    ["web01.gz", "raw", "web01"],
    ["web01.v2.gz", "raw", "web01.v2"],
    ["web01.img.gz", "img.gz", "web01-converted"],
    ["web01.raw.vmdk", "qcow2", "web01.raw"],
  ])("makes of %s for %s the name %s", (source, extension, stem) => expect(suggestedStem(source, extension, FORMATS)).toBe(stem));

  it("estimates the closing of a dense disk", () => expect(closingSeconds(40 * 1024 ** 3)).toBe(320));

  it("names formats as people write them", () =>
    expect(["qcow2", "raw", "vmdk", "vdi", "parallels"].map(shortName)).toEqual(["qcow2", "raw", "VMDK", "VDI", "Parallels"]));

  it("offers what most people want first, the rest by name", () => {
    const { common, more } = groupTargets([...FORMATS, format("zz"), format("aa")]);
    expect(common.map(({ id }) => id)).toEqual(["qcow2", "vmdk", "vdi", "raw"]);
    expect(more.map(({ id }) => id)).toEqual(["aa", "gzip", "zz"]);
  });
});
