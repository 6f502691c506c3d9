import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatById } from "../formats/registry.ts";
import { readOptions, targetOf } from "../jobs/target.ts";
import { type DiskFacts, type EntryFacts, PRESETS, presetById } from "./index.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;

const entry = (type: string, fileSystem: string | null = null): EntryFacts => ({ type, fileSystem });
const ESP = entry("EFI system", "fat32");
const BIOS_BOOT = entry("BIOS boot");
const EXT4 = entry("Linux", "ext4");
const NTFS = entry("Microsoft basic data", "ntfs");
const disk = (kind: string, entries: readonly EntryFacts[], size = 4 * GIB): DiskFacts => ({
  size,
  sector: 512,
  partitions: { kind, entries },
  name: "disk",
});
const HYBRID = disk("GPT", [BIOS_BOOT, ESP, EXT4]);

const found = (id: string, facts: DiskFacts, severity = "blocker") =>
  presetById(id)
    .losses(facts)
    .filter((loss) => loss.severity === severity)
    .map(({ what }) => what);
const commands = (id: string, facts: DiskFacts) =>
  presetById(id)
    .steps(presetById(id).fileName("web"), facts)
    .flatMap((step) => [step.text, ...step.commands])
    .join("\n");

describe("the table of presets", () => {
  test("has every target once", () => {
    expect(PRESETS.map(({ id }) => id)).toEqual([
      "azure",
      "aws",
      "gce",
      "digitalocean",
      "openstack",
      "esxi",
      "workstation",
      "hyper-v-gen1",
      "hyper-v-gen2",
      "virtualbox",
      "proxmox",
      "libvirt",
      "utm",
      "parallels",
    ]);
    expect(new Set(PRESETS.map(({ label }) => label)).size).toBe(PRESETS.length);
  });

  test.each(PRESETS)("$id: its options are the writer's own", ({ format, options, largeSectors, help, rules }) => {
    const target = targetOf(formatById(format));
    expect(formatById(format).id).toBe(format);
    const all = readOptions(target, { ...options, ...largeSectors });
    // Spelled as the writer spells them.
    expect(all).toMatchObject({ ...options, ...largeSectors });
    expect(help).toMatch(/^[^\n]{5,100}\.$/);
    expect(rules.length).toBeGreaterThan(1);
    for (const { text, source } of rules) {
      expect(text).toMatch(/\.$/);
      expect(source).toMatch(/https:\/\/|\[MS-|Format|Broadcom|MS-VHD/);
    }
  });

  test.each(PRESETS)("$id: sizes never shrink and are taken as they are the second time", ({ size }) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 * TIB }), (bytes) => {
        const once = size(bytes);
        expect(once).toBeGreaterThanOrEqual(bytes);
        expect(once % 512).toBe(0);
        expect(size(once)).toBe(once);
      }),
      { numRuns: 50 },
    );
  });

  test.each(PRESETS)("$id: any text becomes a name that the target takes", ({ fileName, naming, steps }) => {
    const hostile = [
      "",
      ".",
      "..",
      "-",
      "a/b\\c",
      "x".repeat(300),
      "Größe 1",
      "日本語",
      'quo"te',
      "1st",
      "web-flat",
      "a\nb",
      "-x-",
      "con<>:|?*",
    ];
    for (const stem of hostile) expect(fileName(stem)).toMatch(naming.pattern);
    expect(fileName("Web server 1")).toMatch(/^web[ -]server[ -]1\.[a-z0-9.]+$/i);
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300, size: "max" }), (stem) => {
        const name = fileName(stem);
        expect(name).toMatch(naming.pattern);
        expect(new TextEncoder().encode(name.replace(".vmdk", "-flat.vmdk")).length).toBeLessThanOrEqual(255);
        expect(steps(name, HYBRID).length).toBeGreaterThan(1);
      }),
      { numRuns: 50 },
    );
  });

  test.each(PRESETS)("$id: what it says ends with a full stop and has no empty command", ({ losses, steps, fileName }) => {
    for (const facts of [
      HYBRID,
      disk("MBR", [NTFS]),
      disk("none", [EXT4]),
      { ...HYBRID, partitions: null },
      disk("GPT", [EXT4], 99 * TIB),
    ]) {
      for (const { what, why } of losses(facts)) expect(`${what}: ${why}`).toMatch(/\S: \S.*[.]$/);
      for (const step of steps(fileName("web"), facts)) {
        expect(step.text).toMatch(/[.]$/);
        for (const command of step.commands) expect(command).not.toMatch(/undefined|null|NaN|\n|^$/);
      }
    }
  });
});

describe("sizes at the limits", () => {
  // [target, largest that is taken, smallest that is not]
  test.each([
    ["azure", 2040 * GIB, 2040 * GIB + 1],
    ["aws", 64 * TIB, 64 * TIB + 1],
    ["gce", 64 * TIB, 64 * TIB + 1],
    ["digitalocean", 100 * GIB - 512, 100 * GIB],
    ["esxi", 62 * TIB, 62 * TIB + 1],
    ["workstation", 8 * TIB, 8 * TIB + 1],
    ["hyper-v-gen1", 2 * TIB, 2 * TIB + 1],
    ["hyper-v-gen2", 64 * TIB, 64 * TIB + 1],
    ["parallels", 2 * TIB, 2 * TIB + 1],
  ])("%s", (id, most, more) => {
    expect(found(id, { ...HYBRID, size: most })).toEqual([]);
    expect(found(id, { ...HYBRID, size: more })).toEqual(["The disk is too large"]);
  });

  test.each(["aws", "gce"])("%s: an MBR reaches 2 TiB", (id) => {
    expect(found(id, disk("MBR", [EXT4], 2 * TIB))).toEqual([]);
    expect(found(id, disk("MBR", [EXT4], 2 * TIB + 1))).toEqual(["The disk is too large"]);
  });

  test("are warned of where the documents differ", () => {
    expect(found("azure", { ...HYBRID, size: 1023 * GIB }, "warning")).toEqual([]);
    expect(found("azure", { ...HYBRID, size: 1023 * GIB + 1 }, "warning")).toEqual(["The disk is larger than 1023 GiB"]);
    expect(found("digitalocean", { ...HYBRID, size: 99_999_999_488 }, "warning")).toEqual([]);
    expect(found("digitalocean", { ...HYBRID, size: 100_000_000_000 }, "warning")).toEqual(["The disk is close to the limit"]);
  });
});

describe("firmware", () => {
  test("Hyper-V: the generation goes by the partitions", () => {
    const uefi = disk("GPT", [ESP, NTFS]);
    expect(found("hyper-v-gen2", uefi)).toEqual([]);
    expect(found("hyper-v-gen1", uefi)).toEqual(["The disk starts under UEFI only"]);
    const bios = disk("MBR", [NTFS]);
    expect(found("hyper-v-gen1", bios)).toEqual([]);
    expect(found("hyper-v-gen2", bios)).toEqual(["The disk has no GPT"]);
    expect(found("hyper-v-gen2", disk("GPT", [BIOS_BOOT, EXT4]))).toEqual(["There is no EFI system partition"]);
    expect(found("hyper-v-gen1", disk("GPT", [BIOS_BOOT, EXT4]))).toEqual([]);
    expect(found("hyper-v-gen2", disk("none", [EXT4]))).toEqual(["The disk has no GPT"]);
  });

  test.each([
    ["azure", "--hyper-v-generation V2", "--hyper-v-generation V1"],
    ["aws", "--boot-mode uefi", "--boot-mode legacy-bios"],
    ["gce", "UEFI_COMPATIBLE", "--guest-os-features=VIRTIO_SCSI_MULTIQUEUE"],
    ["openstack", "hw_firmware_type=uefi", "hw_firmware_type=bios"],
    ["esxi", "Firmware: EFI", "Firmware: BIOS"],
    ["virtualbox", "--firmware efi64", "--firmware bios"],
    ["proxmox", "--bios ovmf", "--bios seabios"],
    ["libvirt", "--boot uefi", "with BIOS"],
    ["utm", "UEFI Boot: on", "UEFI Boot: off"],
    ["parallels", "BIOS: EFI", "BIOS: Legacy BIOS"],
  ])("%s: the steps name the disk's own", (id, uefi, bios) => {
    expect(commands(id, disk("GPT", [ESP, EXT4]))).toContain(uefi);
    expect(commands(id, disk("GPT", [ESP, EXT4]))).not.toContain(bios);
    expect(commands(id, disk("MBR", [EXT4]))).toContain(bios);
    expect(commands(id, disk("MBR", [EXT4]))).not.toContain(uefi);
  });

  test.each(PRESETS.map(({ id }) => id))("%s: a disk to start from nothing is told, one that was not recognised is taken", (id) => {
    const unknown = { ...HYBRID, partitions: null };
    expect(found(id, unknown)).toEqual([]);
    expect(found(id, unknown, "warning")).toContain("Nothing was recognised on the disk");
    const data = disk("GPT", [EXT4]);
    expect([...found(id, data), ...found(id, data, "warning")].some((what) => /Nothing to start from|no EFI system/.test(what))).toBe(true);
  });
});

describe("contents", () => {
  test("that a target refuses", () => {
    expect(found("digitalocean", disk("MBR", [NTFS]))).toEqual(["This looks like Windows"]);
    expect(found("digitalocean", disk("none", [EXT4]))).toEqual(["There is no partition table"]);
    expect(found("gce", disk("none", [EXT4]))).toEqual(["There is no partition table"]);
    expect(found("aws", disk("MBR", [entry("LUKS", "luks")]))).toEqual(["The disk is encrypted"]);
    expect(found("aws", disk("MBR", [entry("NTFS or exFAT", "bitlocker")]))).toEqual(["The disk is encrypted"]);
  });

  test("that a target warns of", () => {
    expect(found("azure", disk("MBR", [EXT4, entry("Linux swap", "swap")]), "warning")).toEqual(["There is a swap partition"]);
    expect(found("azure", disk("GPT", [ESP, entry("Microsoft basic data", "bitlocker")]), "warning")).toEqual(["BitLocker is on"]);
    expect(found("digitalocean", disk("MBR", [entry("Linux", "xfs")]), "warning")).toEqual(["There is no ext3 or ext4 file system"]);
    expect(found("azure", disk("MBR", [entry("Linux LVM", "lvm2")]), "note")).toContain("The disk uses LVM");
  });

  test("that a target gets the right bus for", () => {
    expect(commands("libvirt", disk("MBR", [NTFS]))).toContain("bus=sata");
    expect(commands("libvirt", disk("MBR", [EXT4]))).toContain("bus=virtio");
    expect(commands("proxmox", disk("MBR", [NTFS]))).toContain("--sata0");
    expect(commands("openstack", HYBRID)).toContain("hw_disk_bus=virtio");
  });

  test("keep the letters of all languages where the target does", () => {
    expect(presetById("virtualbox").fileName("日本語 Größe")).toBe("日本語 Größe.vdi");
    expect(presetById("esxi").fileName("größe-flat-flat")).toBe("größe.vmdk");
    expect(presetById("azure").fileName("Größe")).toBe("Gro-e.vhd");
  });

  test("azure announces the file's size, footer included", () => {
    expect(commands("azure", { ...HYBRID, size: 30 * MIB + 1 })).toContain(`--upload-size-bytes ${31 * MIB + 512}`);
  });
});

test("names are safe in the commands", () => {
  for (const { id, steps } of PRESETS) {
    const typed = steps("a b; $(rm -rf) 'x'.qcow2", HYBRID).flatMap((step) => step.commands);
    for (const command of typed) expect(unquoted(command), `${id}: ${command}`).not.toMatch(/\$\(rm/);
  }
});

/** A command without what stands between single quotes. */
const unquoted = (command: string): string => command.replace(/'(?:[^']|'\\''|'')*'/g, "");
