/** Files that are not raw disks and are converted as if they were. */
import { gzipSync } from "node:zlib";
import { androidSparse, MIB, noise } from "./images.mjs";
import { holds } from "./laboratory.mjs";

/** qemu-img copies the file itself, to whole sectors. */
async function takenForRaw(lab, image, disk) {
  const seen = await lab.converts("qemu-img", image, disk);
  const file = lab.read(image);
  const padding = (512 - (file.length % 512)) % 512;
  holds(seen.code === 0 && seen.bytes?.equals(Buffer.concat([file, Buffer.alloc(padding)])), "qemu-img", seen);
}

export const rawFallbacks = [
  {
    title: "A raw disk in gzip, xz or Zstandard",
    tools: ["qemu-img", "7zz", "xz", "zstd"],
    async run(lab) {
      const disk = noise(2 * MIB, 20);
      lab.write("disk.raw", disk);
      lab.write("disk.raw.gz", gzipSync(disk));
      await lab.must("xz", ["-k", "disk.raw"]);
      await lab.must("zstd", ["-q", "-k", "disk.raw"]);
      for (const ending of ["gz", "xz", "zst"]) {
        const image = `disk.raw.${ending}`;
        await takenForRaw(lab, image, disk);
        const unpacked = await lab.converts("7zz", image, disk);
        holds(unpacked.right, "7zz", unpacked);
        await lab.spindleReads(image, disk);
      }
      return {
        other: "qemu-img takes the packed file for the disk: the compressed bytes are converted. 7-Zip unpacks all three.",
        spindle: "The disk inside, without unpacking it to a file first.",
      };
    },
  },
  {
    title: "An image of a kind that qemu-img has no driver for: Android sparse, E01, a disk in a tar or OVA",
    tools: ["qemu-img", "7zz", "ewfacquirestream"],
    async run(lab) {
      const disk = noise(2 * MIB, 21);
      lab.write("disk.raw", disk);
      lab.write("disk.simg", androidSparse(disk));
      const words = [
        "-q",
        "-c",
        "none",
        "-m",
        "fixed",
        "-M",
        "physical",
        "-t",
        "disk",
        ..."CDeEN".split("").flatMap((name) => [`-${name}`, "x"]),
      ];
      await lab.must("ewfacquirestream", words, { input: disk });
      await lab.must("7zz", ["a", "-ttar", "disk.tar", "disk.raw"]);
      await lab.must("spindle", ["convert", "-O", "ova", "disk.raw", "disk.ova"]);
      for (const image of ["disk.simg", "disk.E01", "disk.tar", "disk.ova"]) {
        await takenForRaw(lab, image, disk);
        await lab.spindleReads(image, disk);
      }
      return {
        other: "qemu-img takes each for a raw disk and converts the container's own bytes.",
        spindle: "The disk inside.",
      };
    },
  },
  {
    title: "LUKS2",
    tools: ["qemu-img", "cryptsetup"],
    async run(lab) {
      lab.write("disk.img", Buffer.alloc(20 * MIB));
      lab.write("first.img", Buffer.alloc(20 * MIB));
      const how = ["--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-"];
      await lab.must("cryptsetup", ["luksFormat", "--type", "luks2", ...how, "disk.img"], { input: "passphrase" });
      await takenForRaw(lab, "disk.img", Buffer.alloc(0));
      await lab.must(
        "cryptsetup",
        ["luksFormat", "--type", "luks1", ...how.filter((word) => word !== "--pbkdf" && word !== "pbkdf2"), "first.img"],
        { input: "passphrase" },
      );
      const first = await lab.must("qemu-img", ["info", "first.img"]);
      holds(first.stdout.includes("file format: luks"), "qemu-img", first);
      await lab.spindleRefuses("disk.img", "LUKS2 encrypted disk");
      await lab.spindleReads("disk.img", lab.read("disk.img"), { format: "raw" });
      return {
        other:
          "qemu-img knows LUKS1 only and takes a LUKS2 disk for raw: the result is the encrypted disk, and nothing says that it is encrypted.",
        spindle: "Names it and stops; it does not decrypt LUKS2 either. With `-f raw` it copies the encrypted bytes, on request.",
      };
    },
  },
  {
    title: "An image whose header is destroyed",
    tools: ["qemu-img"],
    async run(lab) {
      const disk = noise(2 * MIB, 22);
      lab.write("disk.raw", disk);
      await lab.must("qemu-img", ["convert", "-O", "qcow2", "disk.raw", "disk.qcow2"]);
      lab.write("disk.qcow2", lab.read("disk.qcow2").fill(0, 0, 512));
      await takenForRaw(lab, "disk.qcow2", disk);
      await lab.spindleRefuses("disk.qcow2", "is named .qcow2 but holds no QEMU disk (qcow2) header");
      const file = lab.read("disk.qcow2");
      await lab.spindleReads("disk.qcow2", file, { format: "raw" });
      lab.write("disk.img", file);
      await lab.spindleReads("disk.img", file);
      return {
        other: "A qcow2 whose first sector is zeros is a raw disk for qemu-img: its tables and clusters are converted as they lie.",
        spindle:
          "Refuses a file that is named for a format and is not in it, unless it looks like a disk (partition table, file system) or `-f raw` is given. The same file named `disk.img` would be taken for raw here too.",
      };
    },
  },
];
