import { blocker, bootLosses, guestOf, hasEfiPartition, isGpt, note } from "./boot.ts";
import type { DiskFacts, Preset, Rule, Step } from "./model.ts";
import { anyStem, ending, powerShellWord, stemOf } from "./naming.ts";
import { TIB, tooLarge, wholeSectors } from "./sizes.ts";

const GENERATIONS =
  "Microsoft Learn, Should I create a generation 1 or 2 virtual machine in Hyper-V?: Larger boot volume, How can I boot the virtual machine?, https://learn.microsoft.com/windows-server/virtualization/hyper-v/plan/should-i-create-a-generation-1-or-2-virtual-machine-in-hyper-v";
const UEFI_DISKS =
  "Microsoft Learn, UEFI/GPT-based hard drive partitions, https://learn.microsoft.com/windows-hardware/manufacture/desktop/configure-uefigpt-based-hard-drive-partitions";
const LINUX =
  "Microsoft Learn, Best practices for running Linux on Hyper-V: Tuning Linux file systems on dynamic VHDX files, https://learn.microsoft.com/windows-server/virtualization/hyper-v/best-practices-for-running-linux-on-hyper-v";
const VHDX = "[MS-VHDX]: Virtual Hard Disk v2 (VHDX) File Format, sections 2.6.2.1, 2.6.2.2 and 2.6.2.4";

const MOST_GENERATION_1 = 2 * TIB;
const MOST = 64 * TIB;

const blocks: Rule = { text: "Dynamic, with blocks of 1 MiB, so that the file systems of Linux do not swell the file.", source: LINUX };
const wholeDisk: Rule = { text: "The virtual size is a whole number of logical sectors and at most 64 TiB.", source: VHDX };
const name = { naming: ending("vhdx"), fileName: (stem: string): string => `${anyStem(stem)}.vhdx` };

const EVENTUALLY: Step = {
  text: "Linux and Windows bring Hyper-V's drivers with them; a Linux that was made elsewhere needs hv_vmbus, hv_storvsc and hv_netvsc in its initramfs.",
  commands: [],
};
const PLACE: Step = {
  text: "Put the file where it is to stay, on a volume without compression, encryption or sparse marking: Hyper-V uses it as it is.",
  commands: [],
};

function newVm(fileName: string, generation: 1 | 2): string {
  return `New-VM -Name ${powerShellWord(stemOf(fileName))} -Generation ${generation} -MemoryStartupBytes 2GB -VHDPath ${powerShellWord(`C:\\PATH\\${fileName}`)} -SwitchName "Default Switch"`;
}

export const hyperV1: Preset = {
  id: "hyper-v-gen1",
  label: "Hyper-V, generation 1",
  help: "A dynamic VHDX for a machine with BIOS.",
  format: "vhdx",
  options: { subformat: "dynamic", block_size: "1M" },
  largeSectors: null,
  size: wholeSectors,
  losses: (facts) => [
    ...tooLarge(hyperV1.size(facts.size), MOST_GENERATION_1, "Generation 1 starts from disks of up to 2 TB"),
    ...bootLosses(facts, "Generation 1", ["bios"]),
  ],
  ...name,
  rules: [
    { text: "Generation 1 starts by BIOS, from the IDE controller.", source: GENERATIONS },
    { text: "At most 2 TB to start from.", source: GENERATIONS },
    blocks,
    wholeDisk,
  ],
  steps: (fileName) => [
    PLACE,
    {
      text: "In an administrator's PowerShell; or in Hyper-V Manager: New › Virtual Machine › Generation 1 › Use an existing virtual hard disk. It comes to the IDE controller.",
      commands: [newVm(fileName, 1)],
    },
    EVENTUALLY,
  ],
};

/** Generation 2 starts from an EFI system partition of a GPT, and from nothing else. */
function generation2Losses(facts: DiskFacts): ReturnType<Preset["losses"]> {
  if (facts.partitions === null) return bootLosses(facts, "Generation 2");
  const instead = "Choose generation 1 for it.";
  if (!isGpt(facts))
    return [
      blocker(
        "The disk has no GPT",
        `Generation 2 starts by UEFI from a GPT disk; this one has ${facts.partitions.kind === "MBR" ? "an MBR" : "no partition table"}. ${instead}`,
      ),
    ];
  if (!hasEfiPartition(facts))
    return [blocker("There is no EFI system partition", `Generation 2 starts by UEFI and has nothing to start from. ${instead}`)];
  return [];
}

export const hyperV2: Preset = {
  id: "hyper-v-gen2",
  label: "Hyper-V, generation 2",
  help: "A dynamic VHDX for a machine with UEFI.",
  format: "vhdx",
  options: { subformat: "dynamic", block_size: "1M" },
  largeSectors: { logical_sector_size: "4096" },
  size: wholeSectors,
  losses: (facts) => [
    ...tooLarge(hyperV2.size(facts.size), MOST, "A VHDX has up to 64 TiB"),
    ...generation2Losses(facts),
    ...(guestOf(facts) === "windows"
      ? []
      : [note("Secure Boot", "Linux starts with the template MicrosoftUEFICertificateAuthority, or with Secure Boot off.")]),
  ],
  ...name,
  rules: [
    { text: "VHDX only, on the SCSI controller; generation 2 starts by UEFI.", source: GENERATIONS },
    { text: "The disk has a GPT with an EFI system partition.", source: UEFI_DISKS },
    { text: "At most 64 TB.", source: GENERATIONS },
    blocks,
    wholeDisk,
  ],
  steps(fileName, facts) {
    const vm = powerShellWord(stemOf(fileName));
    const template = guestOf(facts) === "windows" ? "MicrosoftWindows" : "MicrosoftUEFICertificateAuthority";
    return [
      PLACE,
      {
        text: "In an administrator's PowerShell; or in Hyper-V Manager: New › Virtual Machine › Generation 2 › Use an existing virtual hard disk.",
        commands: [newVm(fileName, 2), `Set-VMFirmware -VMName ${vm} -EnableSecureBoot On -SecureBootTemplate ${template}`],
      },
      {
        text: "When the boot loader is not signed, switch Secure Boot off.",
        commands: [`Set-VMFirmware -VMName ${vm} -EnableSecureBoot Off`],
      },
      EVENTUALLY,
    ];
  },
};
