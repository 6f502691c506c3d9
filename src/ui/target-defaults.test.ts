import { describe, expect, it } from "vitest";
import type { FormatCard } from "../workers/engine-api.ts";
import { closingSeconds, defaultTarget, shortName, suggestedStem } from "./target-defaults.ts";

const format = (id: string, ...extensions: string[]): FormatCard => ({ id, label: id, extensions, options: [] });
const FORMATS = [format("raw", "raw", "img"), format("qcow2", "qcow2"), format("vmdk", "vmdk"), format("vdi", "vdi")];

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
  ])("makes of %s for %s the name %s", (source, extension, stem) => expect(suggestedStem(source, extension, FORMATS)).toBe(stem));

  it("estimates the closing of a dense disk", () => expect(closingSeconds(40 * 1024 ** 3)).toBe(320));

  it("names formats as people write them", () =>
    expect(["qcow2", "raw", "vmdk", "vdi"].map(shortName)).toEqual(["qcow2", "raw", "VMDK", "VDI"]));
});
