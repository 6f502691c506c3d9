import { describe, expect, test } from "vitest";
import { formatById } from "../formats/registry.ts";
import { type DiskFacts, PRESETS } from "../presets/index.ts";
import { applyPreset } from "./preset.ts";
import { lossesOf, readOptions, targetOf } from "./target.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const HYBRID: DiskFacts = {
  size: 8 * GIB,
  sector: 512,
  partitions: {
    kind: "GPT",
    entries: [
      { type: "BIOS boot", fileSystem: null },
      { type: "EFI system", fileSystem: "fat32" },
      { type: "Linux", fileSystem: "ext4" },
    ],
  },
  name: "web.vmdk",
};
const blockers = (id: string, facts: DiskFacts, name?: string) =>
  applyPreset(id, facts, name)
    .losses.filter(({ severity }) => severity === "blocker")
    .map(({ what }) => what);

describe("a preset applied to a disk", () => {
  test.each(PRESETS.map(({ id }) => id))("%s: what it asks for is what its writer can make", (id) => {
    const { request, size, losses, steps } = applyPreset(id, HYBRID);
    const target = targetOf(formatById(request.format));
    const options = readOptions(target, request.options);
    expect(blockers(id, HYBRID)).toEqual([]);
    expect(losses.every(({ what, why }) => what !== "" && /[.]$/.test(why))).toBe(true);
    const spec = { size, name: request.name, options, identity: new Uint8Array(16).fill(7) };
    expect(lossesOf(target, spec).filter(({ severity }) => severity !== "note")).toEqual([]);
    expect(steps.flatMap(({ text, commands }) => [text, ...commands]).join("\n")).toContain(request.name.replace(/(\.tar)?\.[^.]+$/, ""));
  });

  test("is named after the source, and never like it", () => {
    expect(applyPreset("azure", HYBRID).request.name).toBe("web.vhd");
    expect(applyPreset("gce", { ...HYBRID, name: "Web Server 1.img.gz" }).request.name).toBe("web-server-1.tar.gz");
    expect(applyPreset("aws", HYBRID).request.name).toBe("web-aws.vmdk");
    expect(applyPreset("workstation", { ...HYBRID, name: "WEB.VMDK" }).request.name).not.toBe("WEB.vmdk");
    expect(applyPreset("libvirt", { ...HYBRID, name: "no extension" }).request.name).toBe("no-extension.qcow2");
  });

  test("grows to the size that the target takes, and says so", () => {
    const odd = { ...HYBRID, size: 10 * MIB + 512 };
    expect(applyPreset("azure", odd).size).toBe(20 * MIB);
    expect(applyPreset("azure", { ...odd, size: 30 * MIB + 1 }).size).toBe(31 * MIB);
    expect(applyPreset("gce", odd).size).toBe(GIB);
    expect(applyPreset("parallels", odd).size).toBe(100 * MIB);
    expect(applyPreset("libvirt", odd).size).toBe(odd.size);
    expect(applyPreset("libvirt", { ...odd, size: 513, sector: 4096 }).size).toBe(4096);
    const growth = applyPreset("gce", odd).losses.filter(
      ({ why }) => why === `Google Compute Engine takes ${GIB} bytes, the next size after ${odd.size} bytes.`,
    );
    expect(growth.map(({ severity }) => severity)).toEqual(["note"]);
    expect(applyPreset("gce", HYBRID).losses.some(({ what }) => what.includes("size becomes"))).toBe(false);
  });

  test("holds a given name against the target's rule", () => {
    expect(blockers("gce", HYBRID, "my-image.tar.gz")).toEqual([]);
    expect(blockers("gce", HYBRID, "My_Image.tar.gz")).toEqual(["The name “My_Image.tar.gz”"]);
    expect(blockers("azure", HYBRID, "disk.vhdx")).toEqual(["The name “disk.vhdx”"]);
    expect(blockers("proxmox", HYBRID, "größe.qcow2")).toHaveLength(1);
    expect(blockers("esxi", HYBRID, "web-flat.vmdk")).toHaveLength(1);
  });

  test("has sectors of 4096 bytes only where the target can show them", () => {
    const large = { ...HYBRID, sector: 4096 };
    expect(blockers("azure", large)).toEqual(["The disk has sectors of 4096 bytes"]);
    expect(blockers("hyper-v-gen2", large)).toEqual([]);
    expect(applyPreset("hyper-v-gen2", large).request.options["logical_sector_size"]).toBe("4096");
    expect(applyPreset("hyper-v-gen2", HYBRID).request.options["logical_sector_size"]).toBeUndefined();
    expect(JSON.stringify(applyPreset("libvirt", large).steps)).toContain("logical_block_size=4096");
  });

  test("is refused when there is no such target", () => {
    expect(() => applyPreset("azuer", HYBRID)).toThrow(/no preset “azuer”; there are azure, aws/);
  });

  test("options that the user wants count, and those that are not the preset's are told", () => {
    const chosen = (id: string, options: Readonly<Record<string, string>>) => {
      const { request, losses } = applyPreset(id, HYBRID, undefined, options);
      return [request.options, losses.flatMap(({ what, severity }) => (what.includes(" is ") && severity === "warning" ? [what] : []))];
    };
    expect(chosen("azure", { subformat: "dynamic" })).toEqual([{ subformat: "dynamic" }, ["subformat is dynamic"]]);
    expect(chosen("azure", { subformat: "fixed" })).toEqual([{ subformat: "fixed" }, []]);
    expect(chosen("libvirt", { cluster_size: "128k" })).toEqual([{ cluster_size: "128k" }, []]);
    expect(chosen("hyper-v-gen2", { block_size: "1M" })[1]).toEqual([]);
  });
});
