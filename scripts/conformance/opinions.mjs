/**
 * What programs other than qemu-img say about an image that Spindle wrote: each reads it whole, and what it reads is the disk.
 * Of Parallels and QED images there is no second reader among the installable ones.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { ending, oneLine, runProgram } from "./programs.mjs";

/** Names of 7-Zip's readers. */
const SEVEN_ZIP_TYPES = {
  qcow2: "QCOW",
  vmdk: "VMDK",
  vdi: "VDI",
  vpc: "VHD",
  vhdx: "VHDX",
  dmg: "Dmg",
  "android-sparse": "Sparse",
  "raw gzip": "gzip",
  "raw zstd": "zstd",
};
/** libyal reads in windows, so also disks that nobody unpacks. */
const LIBYAL_SCRIPT = `
import sys, pyvhdi
image = pyvhdi.file(); image.open(sys.argv[1])
size = image.get_media_size()
with open(sys.argv[2], "rb") as disk:
    disk.seek(0, 2)
    if disk.tell() != size: sys.exit("the disk has %d bytes, not %d" % (size, disk.tell()))
    for start, length in [map(int, window.split("+")) for window in sys.argv[3:]]:
        for at in range(start, start + length, 1 << 20):
            count = min(1 << 20, start + length - at)
            disk.seek(at)
            if disk.read(count) != image.read_buffer_at_offset(count, at): sys.exit("other bytes in the MiB from %d" % at)
`;

const isSparse = ({ disk }) => disk === "sparse";
const packagingOf = ({ format, options }) => (format === "raw" ? (options.packaging ?? "none") : null);

/**
 * `reads`: what the program can be asked about; the reason why not stands beside. `see`: writes what it reads to the path `seen`;
 * `how` compares that with the disk: `exact`, `zeros` (may be longer by zeros), `prefix` (may be shorter, or longer by zeros).
 */
const UNPACKERS = [
  {
    name: "7zz",
    how: "zeros",
    reads(target) {
      const { format, options, disk } = target;
      if (isSparse(target) || !(sevenZipName(target) in SEVEN_ZIP_TYPES)) return false;
      // Neither zstd nor extended L2 entries nor data files (it shows other bytes).
      if (format === "qcow2") return options.compression !== "zstd" && options.extended_l2 !== "on" && !options.data_file;
      // It opens no VHDX that has not whole sectors of 4096 bytes, whoever wrote it.
      return format !== "vhdx" || (disk !== "odd" && disk !== "dense");
    },
    async see(program, target, image, seen) {
      const folder = `${seen}.d`;
      await program.must(["x", `-t${SEVEN_ZIP_TYPES[sevenZipName(target)]}`, "-y", `-o${folder}`, image]);
      const [name, ...more] = readdirSync(folder);
      if (name === undefined || more.length > 0) throw new Error(`7zz sees ${more.length + (name === undefined ? 0 : 1)} disks`);
      renameSync(join(folder, name), seen);
      rmSync(folder, { recursive: true });
    },
  },
  {
    name: "gzip",
    how: "exact",
    reads: (target) => packagingOf(target) === "gzip",
    see: async (program, _, image, seen) => unpacked(program, await program.run(["-dc", image], { output: seen })),
  },
  {
    name: "zstd",
    how: "exact",
    reads: (target) => packagingOf(target) === "zstd",
    see: (program, _, image, seen) => program.must(["-dqf", image, "-o", seen]),
  },
  {
    name: "tar",
    how: "exact",
    reads: (target) => packagingOf(target) === "gce",
    see: async (program, _, image, seen) => unpacked(program, await program.run(["-xzOf", image, "disk.raw"], { output: seen })),
  },
  {
    name: "simg2img",
    how: "exact",
    reads: ({ format }) => format === "android-sparse",
    see: (program, _, image, seen) => program.must([image, seen]),
  },
  // It drops what follows the last chunk with data, and shows the last chunk whole.
  {
    name: "dmg2img",
    how: "prefix",
    // Without any data it calls them damaged.
    reads: ({ format, disk }) => format === "dmg" && disk !== "sparse" && disk !== "zero",
    see: (program, _, image, seen) => program.must(["-s", "-i", image, "-o", seen]),
  },
  {
    name: "tar",
    how: "exact",
    reads: ({ format }) => format === "xva",
    see: seeChunks,
  },
];

const sevenZipName = (target) => (target.format === "raw" ? `raw ${packagingOf(target)}` : target.format);

function unpacked({ name }, result) {
  if (result.code !== 0) throw new Error(`${name} ended with ${ending(result)}: ${oneLine(result.stderr)}`);
}

/** Programs that only look: an exit code other than 0 is a fault. */
const INSPECTORS = [
  { name: "vmdkinfo", reads: ({ format }) => format === "vmdk", words: (image) => [image] },
  { name: "vhdiinfo", reads: ({ format }) => format === "vpc" || format === "vhdx", words: (image) => [image] },
  {
    name: "qcowinfo",
    reads: ({ format, options }) =>
      format === "qcow2" && options.compression !== "zstd" && options.extended_l2 !== "on" && !options.data_file,
    words: (image) => [image],
  },
];

/** Names of the programs that are asked when they are there. */
export const OPINION_PROGRAMS = [...new Set([...UNPACKERS, ...INSPECTORS].map(({ name }) => name)), "sha256sum"];

/**
 * What is wrong with `image` (a path) in the eyes of every program that knows its kind. `disk`: path of the raw disk. `windows`: what
 * to read of it, as `[start, length]`. `asked` is told the name of each program that has judged.
 */
export async function opinionFaults({ judges, python }, target, { image, disk, windows, folder, asked = () => {} }) {
  const faults = [];
  for (const { name, how, reads, see } of UNPACKERS) {
    if (judges[name] === null || !reads(target)) continue;
    asked(name);
    const seen = join(folder, `seen-by-${name}`);
    const fault = await see(judges[name], target, image, seen).then(
      () => sameFault(seen, disk, how),
      (error) => error.message,
    );
    if (fault !== "") faults.push(`${name}: ${fault}`);
    rmSync(seen, { recursive: true, force: true });
  }
  for (const { name, reads, words } of INSPECTORS) {
    if (judges[name] === null || !reads(target)) continue;
    asked(name);
    const { code, stdout, stderr } = await judges[name].run(words(image), { cwd: folder });
    if (code !== 0) faults.push(`${name}: ${oneLine(stdout + stderr)}`);
  }
  // Of a fixed VHDX it shows zeros for what lies far behind in the file.
  const isFar = isSparse(target) && target.options.subformat === "fixed";
  if (python !== null && (target.format === "vpc" || (target.format === "vhdx" && !isFar))) {
    asked("libvhdi");
    const result = await runProgram(python, ["-c", LIBYAL_SCRIPT, image, disk, ...windows.map((window) => window.join("+"))]);
    if (result.code !== 0) faults.push(`libvhdi: ${ending(result)}: ${oneLine(result.stderr)}`);
  }
  return faults;
}

const PIECE = 4 << 20;
const ZEROS = Buffer.alloc(PIECE);

/** Compares what a program has read with the disk, as `how` allows. */
async function sameFault(seen, disk, how) {
  const [a, b] = await Promise.all([open(seen, "r"), open(disk, "r")]);
  try {
    const sizes = [(await a.stat()).size, (await b.stat()).size];
    if (how === "exact" && sizes[0] !== sizes[1]) return `reads ${sizes[0]} bytes, not ${sizes[1]}`;
    if (how === "zeros" && sizes[0] < sizes[1]) return `reads ${sizes[0]} bytes, not ${sizes[1]}`;
    if (how === "prefix" && sizes[0] === 0) return "reads nothing";
    // Two sparse files of a terabyte: the content hash of the corpus' tool and qemu-img skip holes, plain reading does not.
    if (sizes[1] > 2 ** 32) return hugeFault(seen, disk);
    const pieces = [Buffer.alloc(PIECE), Buffer.alloc(PIECE)];
    for (let at = 0; at < sizes[0]; at += PIECE) {
      const { bytesRead: length } = await a.read(pieces[0], 0, PIECE, at);
      const { bytesRead: inside } = at < sizes[1] ? await b.read(pieces[1], 0, PIECE, at) : { bytesRead: 0 };
      if (pieces[0].compare(pieces[1], 0, Math.min(length, inside), 0, Math.min(length, inside)) !== 0)
        return `other bytes in the ${PIECE >> 20} MiB from ${at}`;
      if (length > inside && pieces[0].compare(ZEROS, 0, length - inside, inside, length) !== 0) return "bytes past the end of the disk";
    }
    return "";
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

async function hugeFault(seen, disk) {
  const { code, stdout, stderr } = await runProgram("qemu-img", ["compare", "-f", "raw", "-F", "raw", seen, disk]);
  return code === 0 ? "" : oneLine(stdout + stderr);
}

/** The chunks of an XVA put together; their SHA-1 sums are compared by their own program. */
async function seeChunks(tar, _, image, seen) {
  const folder = `${seen}.d`;
  mkdirSync(folder);
  await tar.must(["-xf", image, "-C", folder]);
  const machine = readFileSync(join(folder, "ova.xml"), "utf8");
  const size = Number(/<name>virtual_size<\/name>\s*<value>(\d+)</.exec(machine)?.[1]);
  const [disk, ...more] = readdirSync(folder).filter((name) => name.startsWith("Ref:"));
  if (!(size > 0) || disk === undefined || more.length > 0)
    throw new Error(`ova.xml tells of ${size} bytes, the archive has ${disk} ${more}`);
  const names = readdirSync(join(folder, disk));
  const out = await open(seen, "w");
  try {
    await out.truncate(size);
    for (const name of names.filter((entry) => /^\d{8}$/.test(entry))) {
      const sum = readFileSync(join(folder, disk, `${name}.checksum`), "utf8").trim();
      const stated = (await runProgram("sha1sum", [join(folder, disk, name)])).stdout.slice(0, 40);
      if (sum !== stated) throw new Error(`${disk}/${name} has the SHA-1 ${stated}, stated is ${sum}`);
      const bytes = readFileSync(join(folder, disk, name));
      if (bytes.length > size - Number(name) * 2 ** 20) throw new Error(`${disk}/${name} reaches past the end of the disk`);
      await out.write(bytes, 0, bytes.length, Number(name) * 2 ** 20);
    }
  } finally {
    await out.close();
  }
  rmSync(folder, { recursive: true });
}

/** The disk of an OVA: unpacked by tar, held against the manifest by sha256sum. Resolves to its path. */
export async function unpackAppliance({ tar, sha256sum }, image, folder) {
  await tar.must(["-xf", image, "-C", folder]);
  const names = readdirSync(folder);
  const manifest = names.find((name) => name.endsWith(".mf"));
  const sums = readFileSync(join(folder, manifest), "utf8").replaceAll(/^SHA256\((.*)\)= ([0-9a-f]{64})$/gm, "$2  $1");
  const listed = sums.trim().split("\n").length;
  if (listed !== names.length - 1) throw new Error(`the manifest has ${listed} files of ${names.length - 1}`);
  await sha256sum.must(["--strict", "-c", "-"], { cwd: folder, input: sums });
  const disk = names.find((name) => name.endsWith(".vmdk"));
  const ovf = readFileSync(
    join(
      folder,
      names.find((name) => name.endsWith(".ovf")),
    ),
    "utf8",
  );
  if (!ovf.includes(`ovf:href="${disk}"`)) throw new Error(`the descriptor does not name ${disk}`);
  if (!ovf.includes(`ovf:size="${statSync(join(folder, disk)).size}"`)) throw new Error("the descriptor states another file size");
  return join(folder, disk);
}
