/** DMG, Android sparse, VHDX. */
import { androidSparse, dirtyVhdx, dmg, LZMA_CHUNK, lines, MIB, noise, packedChunk, zlibChunk } from "./images.mjs";
import { holds, size } from "./laboratory.mjs";

export const phoneAndMacImages = [
  {
    title: "DMG: the trailer states 0 sectors",
    tools: ["qemu-img", "7zz", "dmg2img"],
    async run(lab) {
      const disk = noise(MIB, 30);
      lab.write("disk.dmg", dmg([zlibChunk(disk)], 0));
      const seen = await lab.converts("qemu-img", "disk.dmg", disk);
      holds(seen.code === 0 && seen.left && seen.length === 0, "qemu-img", seen);
      for (const name of ["7zz", "dmg2img"]) {
        const unpacked = await lab.converts(name, "disk.dmg", disk);
        holds(unpacked.right, name, unpacked);
      }
      const { text } = await lab.spindleReads("disk.dmg", disk);
      holds(text.includes("The trailer states a disk of 0 bytes"), "spindle", { code: 0, text });
      return {
        other: `A real one is gpt-in-dmg.dmg of the etcher-sdk tests. qemu-img makes an empty file of a disk of ${size(disk.length)}. 7-Zip and dmg2img go by the block tables and are right.`,
        spindle: "Goes by the block tables, with a warning.",
      };
    },
  },
  {
    title: "DMG: several tables, the data of the second first in the file",
    tools: ["qemu-img", "7zz", "dmg2img"],
    async run(lab) {
      const sparse = (seed) => Buffer.concat([noise(300, seed), Buffer.alloc(16_384 - 300)]);
      const parts = [noise(512, 31), sparse(32), noise(MIB, 33), sparse(34), noise(512, 35)];
      const disk = Buffer.concat(parts);
      lab.write("disk.dmg", dmg(parts.map((part, i) => zlibChunk(part, i === 1 ? 0 : i + 1))));
      const seen = await lab.converts("dmg2img", "disk.dmg", disk);
      holds(seen.code === 0 && seen.text.includes("successfully") && seen.length < disk.length, "dmg2img", seen);
      for (const name of ["qemu-img", "7zz"]) {
        const right = await lab.converts(name, "disk.dmg", disk);
        holds(right.right, name, right);
      }
      await lab.spindleReads("disk.dmg", disk);
      return {
        other:
          'simple-dmg.dmg of the QEMU tests is laid out like this. dmg2img reads at wrong places, says "successfully decompressed", ends with exit code 0 and leaves a disk that is wrong and too short. qemu-img and 7-Zip are right.',
        spindle: "The right disk.",
      };
    },
  },
  {
    title: "DMG: LZMA chunks",
    tools: ["qemu-img", "7zz", "dmg2img", "xz"],
    async run(lab) {
      const disk = lines(MIB);
      lab.write("chunk", disk);
      await lab.must("xz", ["--check=none", "chunk"]);
      lab.write("disk.dmg", dmg([packedChunk(LZMA_CHUNK, disk, lab.read("chunk.xz"))]));
      const seen = await lab.converts("dmg2img", "disk.dmg", disk);
      holds(seen.code === 0 && seen.left && seen.length === 0 && seen.text.includes("successfully"), "dmg2img", seen);
      const refused = await lab.converts("qemu-img", "disk.dmg", disk);
      holds(refused.code === 1, "qemu-img", refused);
      const unpacked = await lab.converts("7zz", "disk.dmg", disk);
      holds(unpacked.right, "7zz", unpacked);
      await lab.spindleReads("disk.dmg", disk);
      return {
        other:
          'dmg2img prints "Unsupported or corrupted block", then "successfully decompressed", leaves an empty file and ends with exit code 0. qemu-img stops with an error; 7-Zip is right.',
        spindle: "The right disk.",
      };
    },
  },
  {
    title: "Android sparse: a wrong CRC-32",
    tools: ["simg2img", "7zz"],
    async run(lab) {
      const disk = noise(MIB, 36);
      const damaged = Buffer.from(disk);
      damaged[1000] ^= 1;
      lab.write("disk.simg", androidSparse(damaged, disk));
      for (const name of ["simg2img", "7zz"]) {
        const seen = await lab.converts(name, "disk.simg", disk);
        holds(seen.code === 0 && seen.bytes?.equals(damaged), name, seen);
      }
      await lab.spindleRefuses("disk.simg", "the sum of a CRC chunk is");
      return {
        other: "simg2img and 7-Zip do not compare the sum: the damaged disk, exit code 0.",
        spindle: "Compares it before converting: an error with both sums.",
      };
    },
  },
];

export const refusals = [
  {
    title: "VHDX: not closed, its log to be replayed",
    tools: ["qemu-img", "7zz"],
    async run(lab) {
      const disk = noise(16 * MIB, 37);
      lab.write("disk.raw", disk);
      await lab.must("qemu-img", ["convert", "-f", "raw", "-O", "vhdx", "-o", "block_size=8M", "disk.raw", "closed.vhdx"]);
      const image = dirtyVhdx(lab.read("closed.vhdx"));
      lab.write("disk.vhdx", image);
      const refused = await lab.converts("qemu-img", "disk.vhdx", disk);
      holds(refused.code === 1 && refused.text.includes("check -r all"), "qemu-img", refused);
      const unpacked = await lab.converts("7zz", "disk.vhdx", disk);
      const lost = unpacked.bytes?.subarray(8 * MIB).equals(Buffer.alloc(8 * MIB));
      holds(unpacked.code === 2 && unpacked.text.includes("LOG was not replayed") && lost, "7zz", unpacked);
      await lab.spindleReads("disk.vhdx", disk);
      holds(lab.read("disk.vhdx").equals(image), "spindle", { code: 0, text: "the source was changed" });
      lab.write("repaired.vhdx", image);
      await lab.must("qemu-img", ["check", "-r", "all", "repaired.vhdx"]);
      const repaired = await lab.converts("qemu-img", "repaired.vhdx", disk);
      holds(repaired.right && !lab.read("repaired.vhdx").equals(image), "qemu-img", repaired);
      return {
        other:
          'qemu-img refuses until `qemu-img check -r all` has changed the source; then it is right. 7-Zip says "non-empty LOG was not replayed", ends with exit code 2 and leaves a file in which the block that only the log knows is zeros.',
        spindle: "Replays the log in memory: the right disk, the source unchanged.",
      };
    },
  },
];
