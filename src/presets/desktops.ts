import { bootLosses, firmwareFor, guestOf, note } from "./boot.ts";
import type { DiskFacts, Preset } from "./model.ts";
import { anyStem, ending, shellWord, stemOf } from "./naming.ts";
import { MIB, TIB, tooLarge, wholeSectors, wholeSteps } from "./sizes.ts";

const VIRTUALBOX_DISKS =
  "Oracle VirtualBox User Guide: Disk Image Files (VDI, VMDK, VHD, HDD), https://www.virtualbox.org/manual/ch05.html#vdidetails";
const VIRTUALBOX_EFI = "Oracle VirtualBox User Guide: Alternative Firmware (EFI), https://www.virtualbox.org/manual/ch03.html#efi";
const VIRTUALBOX_IDS =
  "Oracle VirtualBox User Guide: Cloning Disk Images (every image has a UUID of its own), https://www.virtualbox.org/manual/ch05.html#cloningvdis";
const UTM_DRIVES = "UTM Documentation: Settings (QEMU), Drives, https://docs.getutm.app/settings-qemu/drive/drive/";
const UTM_FIRMWARE = "UTM Documentation: Settings (QEMU), QEMU, UEFI Boot, https://docs.getutm.app/settings-qemu/qemu/";
const PARALLELS_DISKS = "Parallels Desktop User's Guide: Supported Types of Disks (100 MB to 2 TB), https://docs.parallels.com/pdfm-ug-20/";
const PARALLELS_FORMAT =
  "Virtuozzo, Parallels disk descriptor and expandable image formats (QEMU docs/interop/parallels, prl-xml), https://www.qemu.org/docs/master/interop/prl-xml.html";

const firmware = (facts: DiskFacts, uefi: string, bios: string): string => {
  const kind = firmwareFor(facts);
  return kind === null ? "as the old machine had it" : kind === "uefi" ? uefi : bios;
};

export const virtualBox: Preset = {
  id: "virtualbox",
  label: "VirtualBox",
  help: "A dynamic VDI.",
  format: "vdi",
  options: {},
  largeSectors: null,
  size: wholeSectors,
  losses: (facts) => bootLosses(facts, "VirtualBox"),
  naming: ending("vdi"),
  fileName: (stem) => `${anyStem(stem)}.vdi`,
  rules: [
    { text: "VDI, version 1.1, with blocks of 1 MiB.", source: VIRTUALBOX_DISKS },
    { text: "A UUID of its own, not all zero: VirtualBox tells disks apart by it.", source: VIRTUALBOX_IDS },
    { text: "No parent: a differencing image is not attached alone.", source: VIRTUALBOX_DISKS },
    { text: "Machines with an EFI system partition start with EFI switched on.", source: VIRTUALBOX_EFI },
  ],
  steps(fileName, facts) {
    const vm = shellWord(stemOf(fileName));
    return [
      {
        text: `New machine › Hard Disk › Use an Existing Virtual Hard Disk File; Settings › System › Enable EFI: ${firmware(facts, "on", "off")}.`,
        commands: [],
      },
      {
        text: "Or in a terminal.",
        commands: [
          `VBoxManage createvm --name ${vm} --register --ostype ${guestOf(facts) === "windows" ? "Windows10_64" : "Linux_64"}`,
          `VBoxManage modifyvm ${vm} --memory 2048 --cpus 2 --ioapic on --firmware ${firmwareFor(facts) === "uefi" ? "efi64" : "bios"}`,
          `VBoxManage storagectl ${vm} --name SATA --add sata --controller IntelAhci`,
          `VBoxManage storageattach ${vm} --storagectl SATA --port 0 --device 0 --type hdd --medium ${shellWord(fileName)}`,
        ],
      },
      { text: "Install the Guest Additions in the machine: Devices › Insert Guest Additions CD Image.", commands: [] },
    ];
  },
};

export const utm: Preset = {
  id: "utm",
  label: "UTM",
  help: "A qcow2 that UTM takes over into its machine.",
  format: "qcow2",
  options: {},
  largeSectors: null,
  size: wholeSectors,
  losses: (facts) => bootLosses(facts, "UTM"),
  naming: ending("qcow2"),
  fileName: (stem) => `${anyStem(stem)}.qcow2`,
  rules: [
    {
      text: "qcow2, which UTM keeps as it is inside the machine's .utm bundle; what has a backing file would not be found there.",
      source: UTM_DRIVES,
    },
    { text: "The firmware is the old machine's: UEFI Boot is on for an EFI system partition, off for BIOS.", source: UTM_FIRMWARE },
  ],
  steps: (fileName, facts) => [
    {
      text: "Create a New Virtual Machine › Emulate (or Virtualize, when the processor is the Mac's) › Other › skip the boot image, and open its settings before the first start.",
      commands: [],
    },
    {
      text: `Drives: delete the new drive; New › Import › ${fileName}; interface ${guestOf(facts) === "windows" ? "IDE or NVMe" : "VirtIO"}.`,
      commands: [],
    },
    { text: `QEMU › UEFI Boot: ${firmware(facts, "on", "off")}.`, commands: [] },
    { text: "Install spice-vdagent and qemu-guest-agent (Windows: the SPICE guest tools) in the machine.", commands: [] },
  ],
};

const LEAST_PARALLELS = 100 * MIB;
const MOST_PARALLELS = 2 * TIB;

export const parallels: Preset = {
  id: "parallels",
  label: "Parallels Desktop",
  help: "An expanding image with its DiskDescriptor.xml, for a .hdd bundle.",
  format: "parallels",
  options: { bundle: "on" },
  largeSectors: null,
  // Whole MiB have a geometry whose product is the size and that looks like a disk's.
  size: wholeSteps(MIB, LEAST_PARALLELS),
  losses: (facts) => [
    ...tooLarge(parallels.size(facts.size), MOST_PARALLELS, "Parallels Desktop takes disks of up to 2 TB"),
    ...bootLosses(facts, "Parallels Desktop"),
    note("Two files belong together", "The image and DiskDescriptor.xml go into one folder whose name ends with .hdd."),
  ],
  naming: ending("hds"),
  fileName: (stem) => `${anyStem(stem)}.hds`,
  rules: [
    { text: "A bundle: a folder NAME.hdd with DiskDescriptor.xml and the image that it names.", source: PARALLELS_FORMAT },
    { text: "From 100 MB to 2 TB.", source: PARALLELS_DISKS },
    { text: "Cylinders, heads and sectors in the descriptor give the size exactly.", source: PARALLELS_FORMAT },
  ],
  steps(fileName, facts) {
    const folder = shellWord(`${stemOf(fileName)}.hdd`);
    return [
      {
        text: "Put both files into a folder whose name ends with .hdd: the Finder shows it as one disk.",
        commands: [`mkdir ${folder}`, `mv DiskDescriptor.xml ${shellWord(fileName)} ${folder}/`],
      },
      {
        text: "In Parallels Desktop: File › New › Create a custom machine without an operating system; Configure › Hardware › Hard Disk › Source › Choose an image file, and choose the folder.",
        commands: [],
      },
      {
        text: `Hardware › Boot Order › Advanced › BIOS: ${firmware(facts, "EFI", "Legacy BIOS")}. A Mac with Apple's processor starts systems for Arm only.`,
        commands: [],
      },
      { text: "Install Parallels Tools in the machine: Actions › Install Parallels Tools.", commands: [] },
    ];
  },
};
