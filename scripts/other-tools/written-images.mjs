/** What is written, and who can read it. */
import { MIB, noise, SECTOR } from "./images.mjs";
import { holds, number, size } from "./laboratory.mjs";

const STREAM = ["-O", "vmdk", "-o", "subformat=streamOptimized"];

export const writtenImages = [
  {
    title: "VMDK streamOptimized",
    tools: ["qemu-img", "7zz", "vmdkinfo"],
    async run(lab) {
      const disk = noise(2 * MIB, 50);
      lab.write("disk.raw", disk);
      await lab.must("qemu-img", ["convert", ...STREAM, "disk.raw", "theirs.vmdk"]);
      await lab.must("spindle", ["convert", ...STREAM, "disk.raw", "ours.vmdk"]);
      const refused = await lab.run("7zz", ["t", "theirs.vmdk"]);
      holds(refused.code === 2 && refused.text.includes("Cannot open"), "7zz", refused);
      await lab.spindleReads("theirs.vmdk", disk);
      await lab.must("7zz", ["t", "ours.vmdk"]);
      await lab.must("qemu-img", ["check", "ours.vmdk"]);
      await lab.must("qemu-img", ["compare", "ours.vmdk", "disk.raw"]);
      const unpacked = await lab.converts("7zz", "ours.vmdk", disk);
      holds(unpacked.right, "spindle", unpacked);
      const info = await lab.must("vmdkinfo", ["ours.vmdk"]);
      holds(info.stdout.includes("Stream optimized"), "spindle", info);
      const header = lab.read("theirs.vmdk");
      const directory = Number(header.readBigUInt64LE(56)) * SECTOR;
      const promised = (header.readUInt32LE(8) & 0x20000) !== 0;
      const marked = header.readUInt32LE(directory - SECTOR + 12) === 2;
      const footed = header.lastIndexOf("KDMV") > 0;
      holds(promised && !marked && !footed, "qemu-img", { code: 0, text: "its directory has a marker, or a footer follows" });
      const ours = lab.read("ours.vmdk");
      holds(ours.lastIndexOf("KDMV") === ours.length - 2 * SECTOR, "spindle", { code: 0, text: "the footer is not where it belongs" });
      await lab.must("qemu-img", ["compare", "theirs.vmdk", "disk.raw"]);
      return {
        other:
          "qemu-img's header promises markers, but its tables have none, and no footer follows. qemu-img itself and Spindle read it; 7-Zip refuses it.",
        spindle:
          "All markers, a footer and nothing after the end marker: 7-Zip, qemu-img and vmdkinfo read it. VMware's own tools were not at hand.",
      };
    },
  },
  {
    title: "Dynamic VHD of a disk of 64 MiB with a backup GPT in its last sector",
    tools: ["qemu-img", "7zz", "vhdiinfo"],
    async run(lab) {
      const disk = Buffer.alloc(64 * MIB);
      disk.write("EFI PART", disk.length - 512);
      lab.write("disk.raw", disk);
      const vpc = ["convert", "-f", "raw", "-O", "vpc"];
      await lab.must("qemu-img", [...vpc, "disk.raw", "grown.vhd"]);
      const seen = await lab.converts("qemu-img", "grown.vhd", disk);
      const moved = seen.bytes?.toString("latin1", seen.length - 512, seen.length - 504) !== "EFI PART";
      holds(seen.code === 0 && seen.length > disk.length && moved, "qemu-img", seen);
      await lab.must("qemu-img", [...vpc, "-o", "force_size=on", "disk.raw", "forced.vhd"]);
      const forced = await lab.converts("qemu-img", "forced.vhd", disk);
      holds(forced.right, "qemu-img", forced);
      await lab.must("spindle", ["convert", "-f", "raw", "-O", "vpc", "disk.raw", "ours.vhd"]);
      for (const name of ["qemu-img", "7zz"]) {
        const read = await lab.converts(name, "ours.vhd", disk);
        holds(read.right, "spindle", read);
      }
      const info = await lab.must("vhdiinfo", ["ours.vhd"]);
      holds(info.stdout.includes(`(${disk.length} bytes)`), "spindle", info);
      return {
        other: `qemu-img rounds the disk up to a whole geometry: ${number(seen.length)} bytes instead of ${number(disk.length)}, and the backup partition table is no longer at the end. With \`-o force_size=on\` it is exact.`,
        spindle: `${size(disk.length)}, without an option; the same for qemu-img, 7-Zip and vhdiinfo.`,
      };
    },
  },
];
