/** Rows of the behaviour section: huge disks take little memory, and what cannot be made is said. */
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { makeDeepChain } from "../deep-chain.mjs";
import { makeDisk } from "./disks.mjs";
import { baselineKib } from "./programs.mjs";
import { isFull } from "./targets.mjs";
import { clearErrorFault, leftoverFault, successFault } from "./verdicts.mjs";

/** Over what Node takes by itself, for JavaScript, kernels and buffers together. */
const MOST_KIB = 300 << 10;
/** Of these qemu-img can tell what is empty. */
const COMPARED = ["raw", "qcow2", "vmdk", "vdi", "vpc"];
/** How a raw disk is packed, and where in the unpacked file it begins. */
const PACKINGS = { gzip: 0, zstd: 0, gce: 512 };
/** Past 4 GiB, where the sizes in a gzip trailer and the octal digits of some tar headers begin anew. */
const PACKED_BYTES = 5 * 2 ** 30;
/** DEFLATE says 258 bytes in two bits at best (RFC 1951 section 3.2.5), so empty space takes a 1032nd part. */
const MOST_PACKED_BYTES = PACKED_BYTES / 1000 + 2 ** 20;
const SIZES = { "1 TiB sparse": "1T", "64 TiB empty": "64T" };

export async function checkMemory({ section, spindle, judges, folder }) {
  const qemuImg = judges["qemu-img"];
  if (qemuImg === null) return section.skip("memory", "qemu-img is not installed, which makes the huge disks");
  const base = await baselineKib();
  const disks = folder();
  await makeDisk("sparse", join(disks, "sparse.raw"), judges);
  await qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", join(disks, "sparse.raw"), join(disks, "1T.qcow2")]);
  await qemuImg.must(["create", "-q", "-f", "qcow2", join(disks, "64T.qcow2"), "64T"]);
  const jobs = [
    ["1 TiB sparse", "raw"],
    ["1 TiB sparse", "qcow2"],
    ["1 TiB sparse", "qcow2", "-c"],
    ["1 TiB sparse", "vmdk", "-o", "subformat=streamOptimized"],
    ["1 TiB sparse", "vdi"],
    ["1 TiB sparse", "vpc"],
    ["1 TiB sparse", "vhdx"],
    ["1 TiB sparse", "qed"],
    ["1 TiB sparse", "dmg"],
    ["1 TiB sparse", "android-sparse"],
    ["1 TiB sparse", "xva"],
    ["1 TiB sparse", "ova"],
    ["64 TiB empty", "qcow2"],
    ["64 TiB empty", "vdi"],
    ["64 TiB empty", "vhdx"],
  ];
  for (const [disk, format, ...words] of jobs)
    await section.row(`memory: ${disk} qcow2 to ${[format, ...words].join(" ")}`, async () => {
      const source = join(disks, `${SIZES[disk]}.qcow2`);
      const target = join(folder(), `out.${format}`);
      const result = await spindle(["convert", "-O", format, ...words, source, target], { seconds: 60 });
      const peak = `${(result.peakKib / 1024).toFixed(0)} MiB, Node alone ${(base / 1024).toFixed(0)} MiB, ${result.seconds.toFixed(1)} s`;
      section.note(`${disk} qcow2 to ${[format, ...words].join(" ")}: peak ${peak}`);
      if (result.code !== 0) return successFault(result);
      const faults = [result.peakKib - base > MOST_KIB ? `peak ${peak}` : ""];
      if (statSync(target).blocks * 512 > 2 ** 30) faults.push(`takes ${statSync(target).blocks * 512} bytes on the disk`);
      // What qemu-img cannot compare within reach the matrix judges, where it holds the same disk.
      if (!COMPARED.includes(format)) return faults;
      // qemu-img asks for each of 64 Mi blocks of a VDI; its size and that nothing is allocated say the same.
      if (disk === "64 TiB empty" && format === "vdi") return [...faults, await emptyFault(qemuImg, target)];
      // Beside a qcow2 it reads each empty block of a VHD, beside the raw file of the same disk none.
      const same = format === "vpc" ? ["-f", "raw", join(disks, "sparse.raw")] : ["-f", "qcow2", source];
      const { code, stdout, stderr } = await qemuImg.run(["compare", ...same, "-F", format, target], { seconds: 60 });
      return code === 0 ? faults : [...faults, `qemu-img compare: ${(stdout + stderr).trim()}`];
    });
  await packedRows({ section, spindle, judges, folder, base, disks });
  await section.row("memory: a chain of 40 layers over 1 TiB", async () => {
    const chain = folder();
    const top = makeDeepChain(chain, { layers: 40, extents: 20_000, isLocal: true });
    const result = await spindle(["convert", "-O", "qcow2", "--no-verify", top, "flat.qcow2"], { cwd: chain, seconds: 60 });
    const peak = `${(result.peakKib / 1024).toFixed(0)} MiB, Node alone ${(base / 1024).toFixed(0)} MiB, ${result.seconds.toFixed(1)} s`;
    section.note(`a chain of 40 layers over 1 TiB: peak ${peak}`);
    if (result.code !== 0) return successFault(result);
    const { code, stdout, stderr } = await qemuImg.run(["compare", "-f", "qcow2", "-F", "qcow2", top, "flat.qcow2"], { cwd: chain });
    return [result.peakKib - base > MOST_KIB ? `peak ${peak}` : "", code === 0 ? "" : `qemu-img compare: ${(stdout + stderr).trim()}`];
  });
  await section.row("a 64 TiB disk to vmdk says why not", async () => {
    const out = folder();
    mkdirSync(out, { recursive: true });
    const source = join(disks, "64T.qcow2");
    const result = await spindle(["convert", "-O", "vmdk", source, join(out, "out.vmdk")], { seconds: 20 });
    return [clearErrorFault(result, source, "VMDK"), leftoverFault(out)]; // the limit is the target format's
  });
}

/**
 * Packed streams of a disk that is nearly all zeros: what they take while they are written and read back, and what other programs unpack
 * from them. One of 1 TiB is not read back: that is to go through 1 TiB.
 */
async function packedRows({ section, spindle, judges, folder, base, disks }) {
  const { "qemu-img": qemuImg, zstd } = judges;
  const cut = `driver=raw,size=${PACKED_BYTES},file.driver=file,file.filename=${join(disks, "sparse.raw")}`;
  await qemuImg.must(["convert", "--image-opts", cut, "-O", "qcow2", join(disks, "5G.qcow2")]);
  const convert = async (name, packing, words) => {
    const target = join(folder(), `out.${packing}`);
    const args = ["convert", "-O", "raw", "-o", `packaging=${packing}`, ...words, join(disks, name), target];
    const result = await spindle(args, { seconds: 60 });
    const peak = `${(result.peakKib / 1024).toFixed(0)} MiB, Node alone ${(base / 1024).toFixed(0)} MiB, ${result.seconds.toFixed(1)} s`;
    section.note(`${name} to raw packed as ${packing} ${words.join(" ")}: peak ${peak}`);
    return { target, result, faults: [result.peakKib - base > MOST_KIB ? `peak ${peak}` : ""] };
  };
  await section.row("memory: 1 TiB sparse qcow2 to raw packed as zstd", async () => {
    const { target, result, faults } = await convert("1T.qcow2", "zstd", ["--no-verify"]);
    if (result.code !== 0) return successFault(result);
    const { size } = statSync(target);
    return [...faults, size > 64 << 20 ? `takes ${size} bytes` : ""];
  });
  // gce is gzip around a tar.
  for (const [packing, offset] of Object.entries(PACKINGS).filter(([packing]) => isFull || packing !== "gzip"))
    await section.row(`memory: 5 GiB sparse qcow2 to raw packed as ${packing}`, async () => {
      const { target, result, faults } = await convert("5G.qcow2", packing, []);
      if (result.code !== 0) return successFault(result);
      const { size } = statSync(target);
      if (size > MOST_PACKED_BYTES) faults.push(`takes ${size} bytes`);
      if (zstd === null) return faults;
      const plain = join(folder(), "plain");
      const unpacked = await zstd.run(["-d", "-q", "--sparse", target, "-o", plain], { seconds: 180 });
      if (unpacked.code !== 0) return [...faults, `zstd: ${unpacked.stderr.trim()}`];
      const inside = `driver=raw,offset=${offset},size=${PACKED_BYTES},file.driver=file,file.filename=${plain}`;
      const { code, stdout, stderr } = await qemuImg.run(["compare", "--image-opts", cut, inside], { seconds: 60 });
      rmSync(plain);
      return code === 0 ? faults : [...faults, `qemu-img compare: ${(stdout + stderr).trim()}`];
    });
}

async function emptyFault(qemuImg, image) {
  const size = JSON.parse(await qemuImg.must(["info", "--output=json", image]))["virtual-size"];
  const allocated = JSON.parse(await qemuImg.must(["check", "--output=json", image]))["allocated-clusters"] ?? 0;
  return size === 64 * 2 ** 40 && allocated === 0 ? "" : `qemu-img sees ${size} bytes and ${allocated} allocated blocks`;
}
