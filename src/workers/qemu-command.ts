import type { Disk } from "../jobs/disk.ts";

/** The command that does the same with qemu-img; null when it cannot. `args`: what `ConvertPlan.qemuArguments` says. */
export function qemuCommand(disk: Disk, args: readonly string[] | null, source: string, target: string): string | null {
  const from = qemuSource(disk);
  return args && from && ["qemu-img", "convert", ...from, ...args.map(quote), quote(fileName(source)), quote(fileName(target))].join(" ");
}

/** Formats that qemu-img reads, and those of them whose layers it follows. */
const QEMU_READS = ["raw", "qcow2", "qcow", "vmdk", "vdi", "vpc", "vhdx", "parallels", "qed", "dmg", "bochs", "cloop"];
const QEMU_FOLLOWS = ["qcow2", "qcow", "vmdk", "qed"];

/** How qemu-img would be told to read this disk; null when it cannot, or would read something else. */
function qemuSource({ chain }: Disk): readonly string[] | null {
  const [top] = chain;
  const isPlain = chain.every(({ wrapping, encrypted, format }) => wrapping === undefined && !encrypted && QEMU_READS.includes(format));
  if (top === undefined || !isPlain || (top.format === "raw" && top.files.length > 1)) return null;
  return chain.length === 1 || QEMU_FOLLOWS.includes(top.format) ? ["-f", top.format] : null;
}

/** A leading dash would make it an option, a colon a protocol. */
const fileName = (given: string): string => (given.startsWith("-") || given.includes(":") ? `./${given}` : given);

/** One word for a POSIX shell. */
const quote = (text: string): string => (/^[\w.,=+/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
