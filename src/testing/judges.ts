import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Independent programs that say whether our images are right. */
export type JudgeName =
  | "qemu-img"
  | "qemu-io"
  | "7zz"
  | "vmdkinfo"
  | "b3sum"
  | "sgdisk"
  | "sfdisk"
  | "blkid"
  | "xz"
  | "gzip"
  | "pigz"
  | "simg2img"
  | "img2simg"
  | "vhdiinfo"
  | "qcowinfo"
  | "dmg2img"
  | "ewfexport"
  | "ewfacquirestream"
  | "cryptsetup"
  | "lz4"
  | "bzip2"
  | "zstd"
  | "zip"
  | "tar"
  | "fdisk"
  | "parted"
  | "mkfs.ext4"
  | "e2fsck"
  | "debugfs"
  | "dumpe2fs"
  | "fsck.fat"
  | "ntfsfix"
  | "ntfscp"
  | "ntfscat"
  | "ntfsinfo"
  | "ntfsls"
  | "ntfsresize"
  | "mcopy"
  | "mmd"
  | "mdel"
  | "mshowfat"
  | "mkfs.exfat"
  | "fsck.exfat"
  | "mkfs.xfs"
  | "xfs_repair"
  | "mkfs.btrfs"
  | "btrfs"
  | "mkfs.fat"
  | "mkntfs"
  | "mkswap";

export interface Verdict {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}
export interface Judge {
  readonly name: JudgeName;
  readonly path: string;
  /** Never throws for a non-zero exit; throws when the program does not end within `seconds` (20). */
  run(args: readonly string[], options?: RunOptions): Verdict;
  /** Throws unless the program ends with 0; the standard output. */
  must(args: readonly string[], options?: RunOptions): string;
  /** The standard output as bytes; throws unless the program ends with 0. */
  bytes(args: readonly string[], options?: RunOptions): Uint8Array;
}
export interface RunOptions {
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  readonly seconds?: number;
}

const FOLDERS = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/bin"];

function find(name: string): string | null {
  for (const folder of FOLDERS) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return null;
}

/** qemu-img times the derivation of a LUKS key and gives up when the kernel says that it took none; chance alone decides. */
const CLOCK_REFUSED = "Unable to get accurate CPU usage";
const CLOCK_TRIES = 100;

function start(path: string, args: readonly string[], { cwd, input, seconds = 20 }: RunOptions) {
  const env = { ...process.env, LC_ALL: "C" };
  const once = () => spawnSync(path, args, { cwd, input, timeout: seconds * 1000, maxBuffer: 1 << 30, env });
  let result = once();
  for (let tries = 1; tries < CLOCK_TRIES && result.stderr?.includes(CLOCK_REFUSED); tries++) result = once();
  if (result.error !== undefined) throw new Error(`${path} ${args.join(" ")}: ${result.error.message}`);
  return result;
}

/** The program, or null when it is not installed: `test.skipIf(judge("qemu-img") === null)`. */
export function judge(name: JudgeName): Judge | null {
  const path = find(name);
  if (path === null) return null;
  const must = (args: readonly string[], options: RunOptions) => {
    const result = start(path, args, options);
    if (result.status !== 0) throw new Error(`${name} ${args.join(" ")} ended with ${result.status}: ${result.stderr}${result.stdout}`);
    return result.stdout;
  };
  return {
    name,
    path,
    run(args, options = {}) {
      const { status, stdout, stderr } = start(path, args, options);
      return { status: status ?? -1, stdout: stdout.toString(), stderr: stderr.toString() };
    },
    must: (args, options = {}) => must(args, options).toString(),
    bytes: (args, options = {}) => new Uint8Array(must(args, options)),
  };
}

/** The folder of real disk images, or null: `SPINDLE_CORPUS`, else `../shared/corpus` beside the repository. */
export function corpusFolder(): string | null {
  const folder = process.env["SPINDLE_CORPUS"] ?? join(import.meta.dirname, "../../../shared/corpus");
  return existsSync(join(folder, "manifest.tsv")) ? folder : null;
}

/** The folder of images that the corpus' generators have made (`small`, `malformed`), or null. */
export function generatedFolder(name: "small" | "malformed"): string | null {
  const folder = join(process.env["SPINDLE_GENERATED"] ?? join(import.meta.dirname, "../../build"), name);
  return existsSync(join(folder, "manifest.tsv")) ? folder : null;
}

/** Rows of a tab-separated table with a header line. */
export function readTable(text: string): readonly Readonly<Record<string, string>>[] {
  const [head = "", ...lines] = text.trimEnd().split("\n");
  const names = head.split("\t");
  return lines.map((line) => Object.fromEntries(line.split("\t").map((cell, i) => [names[i] ?? "", cell])));
}
