/** Names of other files inside an image. */
import { readFileSync } from "node:fs";
import { MIB, noise, vmdkDescriptor } from "./images.mjs";
import { holds } from "./laboratory.mjs";

/** Any file of the machine that everybody may read. */
const STRANGER = "/etc/passwd";

export const namesInside = [
  {
    title: `VMDK: an extent named \`${STRANGER}\``,
    tools: ["qemu-img", "7zz"],
    async run(lab) {
      lab.write("rest.bin", noise(MIB, 40));
      lab.write("disk.vmdk", vmdkDescriptor(`RW 1 FLAT "${STRANGER}" 0`, 'RW 2047 FLAT "rest.bin" 0'));
      const seen = await lab.converts("qemu-img", "disk.vmdk", Buffer.alloc(0));
      holds(seen.code === 0 && beginsLikeStranger(seen.bytes), "qemu-img", seen);
      const unpacked = await lab.converts("7zz", "disk.vmdk", Buffer.alloc(0));
      holds(unpacked.code === 2 && unpacked.length === 0, "7zz", unpacked);
      await lab.spindleRefuses("disk.vmdk", `the extent “${STRANGER}” (descriptor line 8) was not given`);
      return {
        other: "qemu-img opens it: the file's text becomes the disk's first sector. 7-Zip does not follow the name.",
        spindle: "No path inside an image is followed: an error that says what to give.",
      };
    },
  },
  {
    title: `qcow2: a backing file named \`${STRANGER}\``,
    tools: ["qemu-img", "7zz"],
    async run(lab) {
      await lab.must("qemu-img", ["create", "-f", "qcow2", "-b", STRANGER, "-F", "raw", "disk.qcow2", String(MIB)]);
      const seen = await lab.converts("qemu-img", "disk.qcow2", Buffer.alloc(0));
      holds(seen.code === 0 && beginsLikeStranger(seen.bytes), "qemu-img", seen);
      const unpacked = await lab.converts("7zz", "disk.qcow2", Buffer.alloc(0));
      holds(unpacked.code === 2 && unpacked.length === 0, "7zz", unpacked);
      await lab.spindleRefuses("disk.qcow2", `a layer over “${STRANGER}”, which was not given`);
      const beside = noise(MIB, 41);
      lab.write("passwd", beside);
      await lab.spindleReads("disk.qcow2", beside);
      return {
        other:
          "qemu-img opens it, as its users expect of their own chains; of a stranger's image it is a leak. 7-Zip refuses images with a backing file.",
        spindle: "Looks for a file `passwd` beside the image; without one, an error.",
      };
    },
  },
];

const beginsLikeStranger = (bytes) => bytes?.subarray(0, 64).equals(readFileSync(STRANGER).subarray(0, 64)) ?? false;
