import { bootLosses, type Firmware, firmwareFor, guestOf } from "./boot.ts";
import type { DiskFacts, Preset, Rule, Step } from "./model.ts";
import { ending, plainStem, shellWord, stemOf } from "./naming.ts";
import { wholeSectors } from "./sizes.ts";

const GLANCE = "OpenStack, Image service: Disk and container formats, https://docs.openstack.org/glance/latest/user/formats.html";
const INSPECTION =
  "OpenStack, OSSA-2024-001 and oslo.utils imageutils.format_inspector: safety checks of qcow2, https://security.openstack.org/ossa/OSSA-2024-001.html";
const PROPERTIES =
  "OpenStack, Useful image properties: hw_firmware_type, hw_disk_bus, https://docs.openstack.org/glance/latest/admin/useful-image-properties.html";
const MIN_DISK = "OpenStack API, Images: min_disk, in GiB, https://docs.openstack.org/api-ref/image/v2/";
const PVE_STORAGE =
  "Proxmox VE, pve-storage: PVE/Storage.pm, UPLOAD_IMPORT_EXT_RE_1 and SAFE_CHAR_CLASS_RE, https://git.proxmox.com/?p=pve-storage.git";
const PVE_IMPORT =
  "Proxmox VE Administration Guide: Importing Virtual Machines, qm disk import, https://pve.proxmox.com/pve-docs/chapter-qm.html#qm_import_virtual_machines";
const PVE_UEFI = "Proxmox VE Administration Guide: BIOS and UEFI, https://pve.proxmox.com/pve-docs/chapter-qm.html#qm_bios_and_uefi";
const DOMAIN = "libvirt, Domain XML format: Hard drives, BIOS bootloader, https://libvirt.org/formatdomain.html";
const QCOW2 = "QEMU, qcow2 image file format, https://www.qemu.org/docs/master/interop/qcow2.html";
const VIRT_INSTALL = "virt-install(1): --import, --boot uefi, https://man.archlinux.org/man/virt-install.1";

const alone: Rule = { text: "A qcow2 of its own: no backing file, no external data file, no encryption.", source: INSPECTION };
const version3: Rule = { text: "qcow2 version 3 (compat 1.1), which QEMU 1.1 and later read.", source: QCOW2 };

const SAFE = "A-Za-z0-9._-";
/** Linux starts from virtio everywhere, Windows without its drivers from SATA. */
const busFor = (facts: DiskFacts): "virtio" | "sata" => (guestOf(facts) === "unix" ? "virtio" : "sata");
const VIRTIO: Step = {
  text: "Windows has no virtio drivers: it starts from SATA. Install them from virtio-win.iso with a second, small virtio disk attached, then change the bus.",
  commands: [],
};
const hints = (facts: DiskFacts): readonly Step[] => (guestOf(facts) === "windows" ? [VIRTIO] : []);
const isUefi = (facts: DiskFacts): boolean => firmwareFor(facts) === "uefi";
const firmwareHint = (firmware: Firmware | null): string =>
  firmware === null ? "the firmware that the old machine had" : firmware === "uefi" ? "UEFI" : "BIOS";

export const glance: Preset = {
  id: "openstack",
  label: "OpenStack (Glance)",
  help: "A packed qcow2 that depends on no other file.",
  format: "qcow2",
  options: { compression: "deflate" },
  largeSectors: null,
  size: wholeSectors,
  losses: (facts) => bootLosses(facts, "OpenStack"),
  naming: ending("qcow2", "img"),
  fileName: (stem) => `${plainStem(stem, SAFE, 200)}.qcow2`,
  rules: [
    { text: "qcow2 is a disk format that Glance takes, with the container format bare.", source: GLANCE },
    alone,
    version3,
    { text: "The flavor's disk must have room for the virtual size: min_disk says so.", source: MIN_DISK },
    { text: "Firmware and bus are properties of the image.", source: PROPERTIES },
  ],
  steps(fileName, facts) {
    const bus = busFor(facts);
    const properties = [
      `--property hw_firmware_type=${isUefi(facts) ? "uefi" : "bios"}`,
      ...(isUefi(facts) ? ["--property hw_machine_type=q35"] : []),
      `--property hw_disk_bus=${bus}`,
    ].join(" ");
    return [
      {
        text: "Create the image; cloud-init in the machine fetches its key and name.",
        commands: [
          `openstack image create --disk-format qcow2 --container-format bare --min-disk ${Math.ceil(facts.size / 2 ** 30)} ${properties} --file ${shellWord(fileName)} ${shellWord(stemOf(fileName))}`,
        ],
      },
      {
        text: "Start a machine from it.",
        commands: [`openstack server create --image ${shellWord(stemOf(fileName))} --flavor FLAVOR --network NETWORK --key-name KEY NAME`],
      },
      ...hints(facts),
    ];
  },
};

export const proxmox: Preset = {
  id: "proxmox",
  label: "Proxmox VE",
  help: "A qcow2 for qm disk import or the import storage.",
  format: "qcow2",
  options: {},
  largeSectors: null,
  size: wholeSectors,
  losses: (facts) => bootLosses(facts, "Proxmox VE"),
  naming: {
    pattern: /^[A-Za-z0-9.+=_-]+\.qcow2$/,
    says: "names of letters, digits and . + = _ - that end with .qcow2",
  },
  fileName: (stem) => `${plainStem(stem, SAFE, 200)}.qcow2`,
  rules: [
    {
      text: "Uploads for import end with .ova, .qcow2, .raw or .vmdk and have letters, digits and . + = _ - in their names.",
      source: PVE_STORAGE,
    },
    { text: "qcow2 is imported into any storage, and converted where that holds raw volumes.", source: PVE_IMPORT },
    { text: "UEFI machines have an EFI disk besides, for the firmware's settings.", source: PVE_UEFI },
    alone,
    version3,
  ],
  steps(fileName, facts) {
    const disk = busFor(facts) === "virtio" ? "scsi0" : "sata0";
    const uefi = isUefi(facts) ? " --bios ovmf --machine q35 --efidisk0 STORAGE:1,efitype=4m,pre-enrolled-keys=0" : " --bios seabios";
    return [
      {
        text: `Create a machine without a disk, with ${firmwareHint(firmwareFor(facts))}.`,
        commands: [
          `qm create ID --name ${plainStem(stemOf(fileName), "A-Za-z0-9-", 60)} --memory 2048 --cores 2 --net0 virtio,bridge=vmbr0 --scsihw virtio-scsi-single${uefi}`,
        ],
      },
      {
        text: "Copy the file to the host, import it, and start from it.",
        commands: [
          `scp ${shellWord(fileName)} root@HOST:/root/`,
          `qm set ID --${disk} ${shellWord(`STORAGE:0,import-from=/root/${fileName}`)}`,
          `qm set ID --boot order=${disk}`,
        ],
      },
      { text: "Install qemu-guest-agent in the machine and switch it on: Options › QEMU Guest Agent.", commands: ["qm set ID --agent 1"] },
      ...hints(facts),
    ];
  },
};

export const libvirt: Preset = {
  id: "libvirt",
  label: "libvirt / KVM",
  help: "A qcow2 for virt-install or virt-manager.",
  format: "qcow2",
  options: {},
  largeSectors: {},
  size: wholeSectors,
  losses: (facts) => bootLosses(facts, "KVM"),
  naming: ending("qcow2", "img"),
  fileName: (stem) => `${plainStem(stem, SAFE, 200)}.qcow2`,
  rules: [
    version3,
    alone,
    { text: "The format is stated with the disk; it is not guessed from its content.", source: DOMAIN },
    { text: "--import starts from the disk as it is; --boot uefi chooses the firmware.", source: VIRT_INSTALL },
  ],
  steps(fileName, facts) {
    const path = `/var/lib/libvirt/images/${fileName}`;
    const name = plainStem(stemOf(fileName), SAFE, 60);
    const large = facts.sector === 4096 ? ",blockio.logical_block_size=4096,blockio.physical_block_size=4096" : "";
    return [
      { text: "Put the file into a storage pool.", commands: [`sudo install -m 600 ${shellWord(fileName)} ${shellWord(path)}`] },
      {
        text: `Make a machine from it, with ${firmwareHint(firmwareFor(facts))}.`,
        commands: [
          `sudo virt-install --import --name ${name} --memory 2048 --vcpus 2 --osinfo detect=on,require=off --disk ${shellWord(`path=${path},format=qcow2,bus=${busFor(facts)}${large}`)}${isUefi(facts) ? " --boot uefi" : ""} --network default`,
        ],
      },
      {
        text: "In virt-manager: File › New Virtual Machine › Import existing disk image; firmware and bus under “Customize configuration”.",
        commands: [],
      },
      ...hints(facts),
    ];
  },
};
