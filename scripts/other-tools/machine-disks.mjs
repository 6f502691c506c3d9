/** VMDK, VHD, qcow2 and LUKS: images whose content is read wrongly. */
import { differencingVhd, lines, MIB, noise, stampedVhd, vmdkDescriptor } from "./images.mjs";
import { holds, number, size } from "./laboratory.mjs";

const GIVEN_BLOCK = 2 * MIB;

export const machineDisks = [
  {
    title: "VMDK: an extent of type `ZERO` between two others",
    tools: ["qemu-img", "7zz", "vmdkinfo"],
    async run(lab) {
      const [first, last] = [noise(MIB, 1), noise(MIB, 2)];
      lab.write("first.bin", first);
      lab.write("last.bin", last);
      lab.write("disk.vmdk", vmdkDescriptor('RW 2048 FLAT "first.bin" 0', "RW 2048 ZERO", 'RW 2048 FLAT "last.bin" 0'));
      const disk = Buffer.concat([first, Buffer.alloc(MIB), last]);
      const seen = await lab.converts("qemu-img", "disk.vmdk", disk);
      const dropped = seen.code === 0 && seen.bytes?.equals(Buffer.concat([first, last]));
      holds(dropped, "qemu-img", seen);
      const info = await lab.run("vmdkinfo", ["disk.vmdk"]);
      holds(info.code === 0 && info.text.includes("Zero"), "vmdkinfo", info);
      const unpacked = await lab.converts("7zz", "disk.vmdk", disk);
      const listed = await lab.run("7zz", ["l", "disk.vmdk"]);
      holds(unpacked.code === 2 && listed.text.includes(` ${disk.length} `), "7zz", unpacked);
      await lab.spindleReads("disk.vmdk", disk);
      return {
        other: `qemu-img drops the extent without a word: ${size(seen.length)} instead of ${size(disk.length)}, and what follows lies too low. vmdkinfo lists all three extents; 7-Zip states the right size and stops with a data error.`,
        spindle: `${size(disk.length)}, all in place.`,
      };
    },
  },
  {
    title: "VMDK: an extent with access `RDONLY`",
    tools: ["qemu-img", "7zz"],
    async run(lab) {
      const [first, last] = [noise(MIB, 3), noise(MIB, 4)];
      lab.write("first.bin", first);
      lab.write("last.bin", last);
      lab.write("disk.vmdk", vmdkDescriptor('RDONLY 2048 FLAT "first.bin" 0', 'RW 2048 FLAT "last.bin" 0'));
      const disk = Buffer.concat([first, last]);
      const seen = await lab.converts("qemu-img", "disk.vmdk", disk);
      holds(seen.code === 0 && seen.bytes?.equals(last), "qemu-img", seen);
      const unpacked = await lab.converts("7zz", "disk.vmdk", disk);
      holds(unpacked.right, "7zz", unpacked);
      await lab.spindleReads("disk.vmdk", disk);
      return {
        other: `qemu-img drops the extent: ${size(seen.length)} instead of ${size(disk.length)}. 7-Zip reads it right.`,
        spindle: `${size(disk.length)}, all in place.`,
      };
    },
  },
  {
    title: "VHD: a differencing disk",
    tools: ["qemu-img", "7zz", "vhdiinfo"],
    async run(lab) {
      const below = noise(2 * GIVEN_BLOCK, 5);
      const above = Buffer.concat([noise(GIVEN_BLOCK, 6), Buffer.alloc(GIVEN_BLOCK)]);
      const disk = Buffer.concat([above.subarray(0, GIVEN_BLOCK), below.subarray(GIVEN_BLOCK)]);
      await writeVhd(lab, "parent.vhd", below);
      await writeVhd(lab, "flat.vhd", above);
      const child = differencingVhd(lab.read("flat.vhd"), lab.read("parent.vhd"), "parent.vhd");
      lab.write("child.vhd", child);
      lab.write("alone/child.vhd", child);
      for (const image of ["child.vhd", "alone/child.vhd"]) {
        const seen = await lab.converts("qemu-img", image, disk);
        holds(seen.code === 0 && seen.bytes?.equals(above), "qemu-img", seen);
      }
      const unpacked = await lab.converts("7zz", "alone/child.vhd", disk);
      holds(unpacked.code === 2 && unpacked.text.includes("Missing volume : parent.vhd"), "7zz", unpacked);
      const together = await lab.converts("7zz", "child.vhd", disk);
      holds(together.right, "7zz", together);
      const info = await lab.run("vhdiinfo", ["alone/child.vhd"]);
      holds(info.text.includes("Differential") && info.text.includes("parent.vhd"), "vhdiinfo", info);
      await lab.spindleRefuses("alone/child.vhd", "a layer over “parent.vhd”, which was not given");
      await lab.spindleReads("child.vhd", disk);
      return {
        other:
          "qemu-img does not look at the disk type: what the parent holds is zeros, whether the parent lies there or not. vhdiinfo names the parent; 7-Zip asks for it, and with it reads the disk right.",
        spindle: "Asks for `parent.vhd`. With it, the whole disk.",
      };
    },
  },
  {
    title: "VHD: size field and geometry differ",
    tools: ["qemu-img", "7zz"],
    async run(lab) {
      const disk = noise(4 * MIB, 7);
      const geometry = [120, 4, 17];
      const visible = geometry.reduce((product, factor) => product * factor, 512);
      await writeVhd(lab, "exact.vhd", disk);
      const lost = [];
      for (const creator of ["vbox", "vpc "]) {
        lab.write("disk.vhd", stampedVhd(lab.read("exact.vhd"), creator, disk.length, geometry));
        const seen = await lab.converts("qemu-img", "disk.vhd", disk);
        holds(seen.code === 0 && seen.bytes?.equals(disk.subarray(0, visible)), "qemu-img", seen);
        lost.push(disk.length - seen.length);
        const unpacked = await lab.converts("7zz", "disk.vhd", disk);
        holds(unpacked.right, "7zz", unpacked);
        const { text } = await lab.spindleReads("disk.vhd", disk);
        if (creator === "vpc ") holds(text.includes(`its geometry ${visible}`), "spindle", { code: 0, text });
      }
      lab.write("disk.vhd", stampedVhd(lab.read("exact.vhd"), "win ", disk.length, geometry));
      const exact = await lab.converts("qemu-img", "disk.vhd", disk);
      holds(exact.right, "qemu-img", exact);
      return {
        other: `Footer of a disk of ${size(disk.length)}, creator \`vbox\` or \`vpc \`, geometry rounded down (cylinders × heads × sectors): qemu-img goes by the geometry, and the last ${number(lost[0])} bytes are gone. With the creator \`win \` it takes the size field. 7-Zip takes the size field always.`,
        spindle: `The size field, ${size(disk.length)}. Of \`vpc \` a warning states both, because a guest under Virtual PC itself saw the smaller one.`,
      };
    },
  },
  {
    title: "VHD: fixed, without saying so",
    tools: ["qemu-img"],
    async run(lab) {
      const disk = noise(4 * MIB, 8);
      await writeVhd(lab, "disk.vhd", disk, "subformat=fixed");
      const seen = await lab.converts("qemu-img", "disk.vhd", disk);
      holds(seen.code === 0 && seen.bytes?.equals(lab.read("disk.vhd")), "qemu-img", seen);
      const told = await lab.converts("qemu-img", "disk.vhd", disk, { format: "vpc" });
      holds(told.right, "qemu-img", told);
      await lab.spindleReads("disk.vhd", disk);
      return {
        other: `qemu-img looks for a VHD's footer at the beginning only, takes the file for raw and makes the footer the disk's last sector: ${number(seen.length)} bytes instead of ${number(disk.length)}. With \`-f vpc\` it is right.`,
        spindle: "Finds the footer: the right disk.",
      };
    },
  },
  {
    title: "qcow2: extended L2 entries, compressed, with empty clusters",
    tools: ["qemu-img", "7zz"],
    async run(lab) {
      const text = lines(4 * MIB);
      const disk = Buffer.concat([text, Buffer.alloc(4 * MIB), text]);
      lab.write("disk.raw", disk);
      const write = (name, ...how) => lab.must("qemu-img", ["convert", "-O", "qcow2", ...how, "disk.raw", name]);
      await write("disk.qcow2", "-c", "-o", "extended_l2=on");
      await write("plain.qcow2", "-o", "extended_l2=on");
      await write("zstd.qcow2", "-c", "-o", "compression_type=zstd");
      const tested = await lab.run("7zz", ["t", "disk.qcow2"]);
      holds(tested.code === 0 && tested.text.includes("Everything is Ok"), "7zz", tested);
      for (const image of ["plain.qcow2", "zstd.qcow2"]) {
        const refused = await lab.converts("7zz", image, disk);
        holds(refused.code === 2, "7zz", refused);
      }
      const seen = await lab.converts("7zz", "disk.qcow2", disk);
      const at = seen.bytes?.findIndex((byte, i) => byte !== disk[i]);
      holds(seen.code === 0 && seen.length === disk.length && at === 65_536, "7zz", seen);
      const right = await lab.converts("qemu-img", "disk.qcow2", disk);
      holds(right.right, "qemu-img", right);
      await lab.spindleReads("disk.qcow2", disk);
      return {
        other: `7-Zip says "Everything is Ok" and unpacks a disk of the right size that is wrong from the second cluster (byte ${number(at)}) on. It refuses extended L2 without compression, and zstd. qemu-img reads it right.`,
        spindle: "The right disk.",
      };
    },
  },
  {
    title: "qcow2: external data file",
    tools: ["qemu-img", "7zz"],
    async run(lab) {
      const disk = noise(4 * MIB, 9);
      const other = noise(4 * MIB, 10);
      lab.write("vm/disk.raw", disk);
      lab.write("elsewhere/note", Buffer.alloc(0));
      const cwd = lab.path("vm");
      await lab.must("qemu-img", ["create", "-f", "qcow2", "-o", "data_file=disk.data", "disk.qcow2", String(disk.length)], { cwd });
      await lab.must("qemu-img", ["convert", "-n", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2"], { cwd });
      lab.write("elsewhere/disk.data", other);
      const from = { cwd: lab.path("elsewhere") };
      const seen = await lab.converts("qemu-img", "vm/disk.qcow2", disk, from);
      holds(seen.code === 0 && seen.bytes?.equals(other), "qemu-img", seen);
      await lab.spindleReads("vm/disk.qcow2", disk, from);
      lab.remove("elsewhere/disk.data");
      const absent = await lab.converts("qemu-img", "vm/disk.qcow2", disk, from);
      holds(absent.code === 1, "qemu-img", absent);
      const unpacked = await lab.converts("7zz", "vm/disk.qcow2", disk);
      holds(unpacked.code === 2, "7zz", unpacked);
      return {
        other:
          "qemu-img looks for it in the folder it was started in, not beside the image: a file of that name there becomes the disk's content; without one it stops with an error. 7-Zip ends with an error.",
        spindle: "Takes the file beside the image, wherever it is started.",
      };
    },
  },
];

async function writeVhd(lab, name, disk, ...options) {
  lab.write("vhd.raw", disk);
  await lab.must("qemu-img", ["convert", "-f", "raw", "-O", "vpc", "-o", ["force_size=on", ...options].join(), "vhd.raw", name]);
}
