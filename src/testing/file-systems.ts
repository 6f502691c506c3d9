import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noise } from "./disks.ts";
import { type Judge, type JudgeName, judge } from "./judges.ts";

/** File systems with files in them, of which some were deleted again: their data is still there, in free space. */
export interface SampleKind {
  readonly name: string;
  /** Null when a program that makes or judges it is not installed. */
  readonly tools: SampleTools | null;
  readonly mebibytes: number;
}
/** Bytes `start` to `end`. */
export interface Place {
  readonly start: number;
  readonly end: number;
}
export interface SampleTools {
  make(path: string, folder: string): void;
  /** Throws unless the file system is sound. */
  requireSound(path: string): void;
  /** File name → SHA-256 of its content, of every file. */
  hashes(path: string, folder: string): Readonly<Record<string, string>>;
  /** Bytes that are free, as another program counts them. */
  freeBytes(path: string): number;
  /** Places in bytes that files hold or that are not free, as another program lists them: none may be dropped. */
  used?(path: string): readonly Place[];
  /** Where superblocks, descriptors, tables and bitmaps lie, by another program. */
  marks(path: string): readonly Place[];
  /** The free places, exactly, where another program lists them. */
  freeRanges?(path: string): readonly { readonly start: number; readonly length: number }[];
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
/** Judges that the list in judges.ts may not name yet. */
const tool = (name: JudgeName): Judge | null => judge(name);

const FILES = 24;
const isDeleted = (i: number): boolean => i % 4 === 1;
const sizeOf = (i: number): number => [700, 4096, 33_333, 150_001, 512, 400_000][i % 6] as number;

/** Files of the host that are put into the file system; nothing in them repeats. */
function hostFiles(folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  return Array.from({ length: FILES }, (_, i) => {
    const path = join(folder, `file${i}`);
    writeFileSync(path, noise(sizeOf(i), i + 1));
    return path;
  });
}

export function emptyFile(path: string, bytes: number): void {
  const handle = openSync(path, "w");
  ftruncateSync(handle, bytes);
  closeSync(handle);
}

function hashesOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(folder, name);
    if (statSync(path).isFile()) found[name] = sha256(new Uint8Array(readFileSync(path)));
  }
  return found;
}

export function extSample(name: string, mebibytes: number, args: readonly string[]): SampleKind {
  const [mke2fs, debugfs, e2fsck, dumpe2fs] = (["mkfs.ext4", "debugfs", "e2fsck", "dumpe2fs"] as const).map((name) => tool(name));
  if (!mke2fs || !debugfs || !e2fsck || !dumpe2fs) return { name, tools: null, mebibytes };
  const dump = (path: string): string => dumpe2fs.must([path]);
  const number = (text: string, label: string): number => Number(new RegExp(`^${label}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return {
    name,
    mebibytes,
    tools: {
      make(path, folder) {
        emptyFile(path, mebibytes << 20);
        mke2fs.must(["-q", "-F", ...args, path]);
        const files = hostFiles(folder);
        const write = files.flatMap((file, i) =>
          i === 12 ? ["mkdir sub", "cd sub", `write ${file} file${i}`] : [`write ${file} file${i}`],
        );
        const remove = files.flatMap((_, i) => (isDeleted(i) ? [`rm ${i < 12 ? "" : "sub/"}file${i}`] : []));
        // debugfs ends with 0 whatever went wrong.
        const { stderr } = debugfs.run(["-w", "-f", "-", path], { input: `${[...write, "cd /", ...remove].join("\n")}\n` });
        if (/error|not found|fail/i.test(stderr)) throw new Error(stderr);
      },
      requireSound: (path) => void e2fsck.must(["-f", "-n", path]),
      hashes(path, folder) {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder);
        debugfs.run(["-R", `rdump / ${folder}`, path]);
        return hashesOf(folder);
      },
      marks(path) {
        const text = dump(path);
        const block = number(text, "Block size");
        const lists = text.matchAll(/(?:Group descriptors|Block bitmap) at (\d+)(?:-(\d+))?/g);
        const places = [...lists].map(([, first, last = first]) => ({ start: Number(first) * block, end: (Number(last) + 1) * block }));
        return [{ start: 1024, end: 2048 }, ...places];
      },
      freeBytes: (path) => number(dump(path), "Free blocks") * number(dump(path), "Block size"),
      freeRanges(path) {
        const text = dump(path);
        const block = number(text, "Block size");
        const cluster = number(text, "Cluster size") || block;
        const ranges: { start: number; length: number }[] = [];
        // Clusters are told by their first blocks.
        for (const [, list = ""] of text.matchAll(/^ {2}Free blocks: (.+)$/gm))
          for (const part of list.split(", ")) {
            const [first = 0, last = first] = part.split("-").map(Number);
            const start = first * block;
            const length = last * block + cluster - start;
            const before = ranges[ranges.length - 1];
            if (before !== undefined && before.start + before.length === start) before.length += length;
            else ranges.push({ start, length });
          }
        return ranges;
      },
    },
  };
}

export function fatSample(name: string, mebibytes: number, args: readonly string[]): SampleKind {
  const [mkfs, mcopy, mmd, mdel, mshowfat, fsck] = (["mkfs.fat", "mcopy", "mmd", "mdel", "mshowfat", "fsck.fat"] as const).map((name) =>
    tool(name),
  );
  if (!mkfs || !mcopy || !mmd || !mdel || !mshowfat || !fsck) return { name, tools: null, mebibytes };
  const verbose = (path: string): string => fsck.must(["-n", "-v", path]);
  const number = (text: string, label: RegExp): number => Number(label.exec(text)?.[1] ?? Number.NaN);
  const clusterBytes = (text: string): number => number(text, /(\d+) bytes per cluster/);
  return {
    name,
    mebibytes,
    tools: {
      make(path, folder) {
        emptyFile(path, mebibytes << 20);
        mkfs.must([...args, path]);
        const files = hostFiles(folder);
        mmd.must(["-i", path, "::/sub"]);
        mcopy.must(["-i", path, ...files.slice(0, 12), "::/"]);
        mcopy.must(["-i", path, ...files.slice(12), "::/sub/"]);
        mdel.must(["-i", path, ...files.flatMap((_, i) => (isDeleted(i) ? [`::/${i < 12 ? "" : "sub/"}file${i}`] : []))]);
      },
      requireSound: (path) => void verbose(path),
      hashes(path, folder) {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder);
        mcopy.must(["-s", "-n", "-i", path, "::/*", folder]);
        return hashesOf(folder);
      },
      freeBytes(path) {
        const text = verbose(path);
        return (number(text, /\/(\d+) clusters/) - number(text, /(\d+)\/\d+ clusters/)) * clusterBytes(text);
      },
      marks(path) {
        const text = verbose(path);
        const at = number(text, /First FAT starts at byte (\d+)/);
        const size = number(text, /(\d+) bytes per FAT/);
        const tables = Array.from({ length: number(text, /(\d+) FATs/) }, (_, i) => ({
          start: at + i * size,
          end: at + i * size + Math.min(size, 8192),
        }));
        return [{ start: 0, end: 512 }, ...tables];
      },
      used(path) {
        const text = verbose(path);
        const dataAt = number(text, /Data area starts at byte (\d+)/);
        const cluster = clusterBytes(text);
        const names = [0, 2, 3, 4, 6, 7, 8, 10, 11].map((i) => `::/file${i}`);
        const lists = mshowfat.must(["-i", path, ...names]).matchAll(/<(\d+)(?:-(\d+))?>/g);
        const places = [...lists].map(([, first, last = first]) => ({
          start: dataAt + (Number(first) - 2) * cluster,
          end: dataAt + (Number(last) - 1) * cluster,
        }));
        return [{ start: 0, end: dataAt }, ...places];
      },
    },
  };
}

export function ntfsSample(name: string, mebibytes: number, args: readonly string[]): SampleKind {
  const [mkntfs, ntfscp, ntfscat, ntfsinfo, ntfsresize, ntfsls] = (
    ["mkntfs", "ntfscp", "ntfscat", "ntfsinfo", "ntfsresize", "ntfsls"] as const
  ).map((name) => tool(name));
  if (!mkntfs || !ntfscp || !ntfscat || !ntfsinfo || !ntfsresize || !ntfsls) return { name, tools: null, mebibytes };
  const info = (path: string): string => ntfsinfo.must(["-f", "-m", path]);
  return {
    name,
    mebibytes,
    tools: {
      make(path, folder) {
        emptyFile(path, mebibytes << 20);
        mkntfs.must(["-q", "-F", ...args, path]);
        const files = hostFiles(folder).slice(0, 14);
        files.forEach((file, i) => void ntfscp.must(["-q", path, file, `file${i}`]));
        // There is no program that deletes: a file that becomes small gives its clusters back.
        files.forEach((_, i) => {
          if (isDeleted(i)) ntfscp.must(["-q", path, files[0] as string, `file${i}`]);
        });
      },
      // Counts the clusters of all files and compares with the bitmap.
      requireSound: (path) => void ntfsresize.must(["-i", "-f", "--no-progress-bar", path]),
      hashes(path) {
        const names = ntfsls.must([path]).split("\n").filter(Boolean);
        return Object.fromEntries(names.map((file) => [file, sha256(ntfscat.bytes([path, file]))]));
      },
      marks(path) {
        const cluster = Number(/Cluster Size: (\d+)/.exec(info(path))?.[1]);
        // $MFT, $MFTMirr, $LogFile, $Bitmap
        const places = [0, 1, 2, 6].map((record) => {
          const text = ntfsinfo.must(["-f", "-v", "-i", String(record), path]);
          const start =
            Number(/Runlist:\s+VCN\s+LCN\s+Length\s+0x0\s+(0x[0-9a-f]+)/.exec(text.slice(text.indexOf("$DATA")))?.[1]) * cluster;
          return { start, end: start + (record === 0 ? 16 << 10 : Math.max(cluster, 8192)) };
        });
        return [{ start: 0, end: 512 }, ...places];
      },
      freeBytes(path) {
        const text = info(path);
        return Number(/Free Clusters: (\d+)/.exec(text)?.[1]) * Number(/Cluster Size: (\d+)/.exec(text)?.[1]);
      },
    },
  };
}

/** Every kind and layout whose free space is read. */
export const SAMPLES: readonly SampleKind[] = [
  extSample("ext4", 64, []),
  extSample("ext4 of 1 KiB blocks", 40, ["-b", "1024"]),
  extSample("ext4 of 1 KiB blocks with small groups", 40, ["-b", "1024", "-g", "1024", "-O", "^resize_inode"]),
  extSample("ext4 bigalloc", 64, ["-O", "bigalloc", "-C", "65536"]),
  extSample("ext4 bigalloc of 1 KiB blocks", 40, ["-b", "1024", "-O", "bigalloc", "-C", "8192"]),
  extSample("ext4 without flex_bg", 64, ["-b", "2048", "-O", "^flex_bg"]),
  extSample("ext4 meta_bg", 40, ["-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode"]),
  extSample("ext4 without 64bit", 64, ["-b", "2048", "-O", "^64bit"]),
  extSample("ext4 uninit_bg", 64, ["-b", "2048", "-O", "^metadata_csum,uninit_bg"]),
  extSample("ext4 without checksums", 64, ["-b", "2048", "-O", "^metadata_csum"]),
  extSample("ext4 metadata_csum_seed, inline_data, sparse_super2", 64, [
    "-b",
    "2048",
    "-O",
    "metadata_csum_seed,inline_data,sparse_super2,^resize_inode",
  ]),
  extSample("ext3", 64, ["-t", "ext3", "-b", "2048"]),
  extSample("ext3 of 1 KiB blocks", 40, ["-t", "ext3", "-b", "1024"]),
  extSample("ext2", 40, ["-t", "ext2", "-b", "4096"]),
  extSample("ext2 of 1 KiB blocks, revision 0", 40, ["-t", "ext2", "-b", "1024", "-r", "0"]),
  fatSample("fat12", 8, ["-F", "12"]),
  fatSample("fat12 of sectors of 1 KiB", 8, ["-F", "12", "-S", "1024"]),
  fatSample("fat16", 24, ["-F", "16"]),
  fatSample("fat16 of large sectors", 48, ["-F", "16", "-S", "2048"]),
  fatSample("fat32", 40, ["-F", "32"]),
  fatSample("fat32 of two sectors per cluster", 80, ["-F", "32", "-s", "2"]),
  ntfsSample("ntfs", 64, []),
  ntfsSample("ntfs of small clusters", 32, ["-c", "512"]),
  ntfsSample("ntfs of large clusters", 96, ["-c", "65536"]),
  ntfsSample("ntfs of large sectors", 64, ["-s", "4096"]),
];
