import { bootLosses, firmwareFor, guestOf } from "./boot.ts";
import type { DiskFacts, Naming, Preset, Step } from "./model.ts";
import { anyStem, shellWord, stemOf } from "./naming.ts";
import { TIB, tooLarge, wholeSectors } from "./sizes.ts";

const SUPPORTED =
  "VMware vSphere 7.0, Supported Disk Formats (vmkfstools -d), https://docs.vmware.com/en/VMware-vSphere/7.0/com.vmware.vsphere.storage.doc/GUID-9CC98802-82D9-44B0-9735-97675258FAAE.html";
const HOSTED =
  "Broadcom Knowledge Base 308992, Cloning and converting virtual machine disks with vmkfstools, https://knowledge.broadcom.com/external/article/308992";
const MAXIMA = "VMware, Configuration Maximums: vSphere 5.5, Virtual Machine Storage, Virtual Disk Size, https://configmax.broadcom.com";
const FORMAT = "VMware, Virtual Disk Format 5.0, The Descriptor File";
const DISKS_OF_WORKSTATION =
  "VMware Workstation Player, Virtual hard disks: up to 8 TB, BusLogic up to 2 TB, https://docs.vmware.com/en/VMware-Workstation-Player-for-Windows/17.0/com.vmware.player.win.using.doc/GUID-ECA0BA58-1E49-42EB-9B94-7F1E5FF728DE.html";

/** 64 TB less room for what VMFS keeps beside it. */
const MOST_ESXI = 62 * TIB;
const MOST_WORKSTATION = 8 * TIB;

/** The writer puts the name between quotes into the descriptor; `-flat` is the name of its second file. */
const vmdkName: Naming = {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line break would end the extent's line in the descriptor
  pattern: /^(?!.*-flat\.vmdk$)[^"/\\\u0000-\u001f\u007f]+\.vmdk$/i,
  says: "names without quotation marks that end with .vmdk, and not with -flat.vmdk",
};
const vmdkStem = (stem: string): string => anyStem(anyStem(stem).replace(/(-flat)+$/i, ""));

const firmware = (facts: DiskFacts): string => {
  const kind = firmwareFor(facts);
  return kind === null ? "as the old machine had it" : kind === "uefi" ? "EFI" : "BIOS";
};
const TOOLS: Step = { text: "Install open-vm-tools (Linux) or VMware Tools (Windows) in the machine.", commands: [] };
const controllerFor = (facts: DiskFacts): string =>
  guestOf(facts) === "windows" ? "LSI Logic SAS or SATA (Windows has no driver for Paravirtual)" : "VMware Paravirtual or LSI Logic";

export const esxi: Preset = {
  id: "esxi",
  label: "VMware ESXi 5.5 or later",
  help: "A descriptor and a flat file for a datastore, thin.",
  format: "vmdk",
  options: { subformat: "vmfsThin", hwversion: "10" },
  largeSectors: null,
  size: wholeSectors,
  losses: (facts) => [
    ...tooLarge(esxi.size(facts.size), MOST_ESXI, "ESXi takes disks of up to 62 TiB"),
    ...bootLosses(facts, "ESXi"),
    {
      what: "Two files belong together",
      why: "The small .vmdk describes the disk, the file -flat.vmdk holds it; both go into one folder of the datastore under these names.",
      severity: "note",
    },
  ],
  naming: vmdkName,
  fileName: (stem) => `${vmdkStem(stem)}.vmdk`,
  rules: [
    {
      text: "Never monolithicSparse or a split sparse disk: ESXi cannot start from those of Workstation before vmkfstools has converted them.",
      source: HOSTED,
    },
    { text: "A descriptor of type vmfs with one flat extent; thin is a mark in the descriptor.", source: SUPPORTED },
    { text: "At most 62 TiB, from ESXi 5.5 on.", source: MAXIMA },
    { text: "The descriptor names its parent as ffffffff: the disk has none.", source: FORMAT },
    { text: "The virtual hardware version is 10 at most, which ESXi 5.5 has.", source: MAXIMA },
  ],
  steps(fileName, facts) {
    const flat = `${stemOf(fileName)}-flat.vmdk`;
    return [
      {
        text: "In the host client: Storage › Datastore browser › Create directory, then Upload both files into it. Or over SSH, where scp does not skip holes but the datastore takes them.",
        commands: [`scp ${shellWord(fileName)} ${shellWord(flat)} root@HOST:/vmfs/volumes/DATASTORE/FOLDER/`],
      },
      {
        text: "An uploaded flat file is thick. To make the disk thin, copy it once on the host and use the copy.",
        commands: [`vmkfstools -i ${shellWord(fileName)} -d thin ${shellWord(`${stemOf(fileName)}-thin.vmdk`)}`],
      },
      {
        text: `Create a machine without a disk, add “Existing hard disk” and choose ${fileName}; controller: ${controllerFor(facts)}; VM Options › Boot options › Firmware: ${firmware(facts)}.`,
        commands: [],
      },
      TOOLS,
    ];
  },
};

export const workstation: Preset = {
  id: "workstation",
  label: "VMware Workstation and Fusion",
  help: "One growing VMDK.",
  format: "vmdk",
  options: { subformat: "monolithicSparse" },
  largeSectors: null,
  size: wholeSectors,
  losses: (facts) => [
    ...tooLarge(workstation.size(facts.size), MOST_WORKSTATION, "Workstation and Fusion take disks of up to 8 TB"),
    ...bootLosses(facts, "VMware"),
  ],
  naming: vmdkName,
  fileName: (stem) => `${vmdkStem(stem)}.vmdk`,
  rules: [
    { text: "A sparse VMDK of one file, as Workstation makes them.", source: FORMAT },
    { text: "At most 8 TB; 2 TB on the BusLogic controller.", source: DISKS_OF_WORKSTATION },
    { text: "The descriptor names its parent as ffffffff: the disk has none.", source: FORMAT },
  ],
  steps: (fileName, facts) => [
    {
      text: `Workstation: File › New Virtual Machine › Custom › I will install the operating system later › Firmware type: ${firmware(facts)} › Use an existing virtual disk › ${fileName}.`,
      commands: [],
    },
    {
      text: `Fusion: File › New › Create a custom virtual machine › ${firmware(facts)} › Use an existing virtual disk; it asks whether to copy or to move the file.`,
      commands: [],
    },
    { text: "When it asks to convert the disk to a newer format, “Keep existing format” is safe.", commands: [] },
    TOOLS,
  ],
};
