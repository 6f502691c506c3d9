import { backingLosses, backingName } from "../../core/backing-file.ts";
import { EFFORT_OPTION, wantsSmall } from "../../core/effort-option.ts";
import { plainName } from "../../core/file-name.ts";
import type { Base, Loss, TargetOption, TargetSpec } from "../../core/target.ts";
import { sectorLosses, wholeSectors } from "../../core/whole-sectors.ts";
import { headerFits } from "./header-writer.ts";
import { refcountBlockEntries } from "./refcounts.ts";
import * as q from "./spec.ts";

const CLUSTER_SIZES = ["512", "1k", "2k", "4k", "8k", "16k", "32k", "64k", "128k", "256k", "512k", "1M", "2M"];
const plain = (values: readonly string[]) => values.map((value) => ({ value, label: value }));

export const OPTIONS: readonly TargetOption[] = [
  {
    name: "compression",
    label: "Compression",
    help: "Deflate is read by every program, zstd packs faster and tighter and needs QEMU 5.1 or later.",
    choices: [
      { value: "off", label: "None" },
      { value: "deflate", label: "Deflate (zlib)" },
      { value: "zstd", label: "zstd" },
    ],
    initial: "off",
  },
  EFFORT_OPTION,
  {
    name: "compat",
    label: "Version",
    help: "1.1 is version 3, since QEMU 1.1; 0.10 is version 2, for older programs.",
    choices: [
      { value: "1.1", label: "1.1 (version 3)" },
      { value: "0.10", label: "0.10 (version 2)" },
    ],
    initial: "1.1",
  },
  {
    name: "cluster_size",
    label: "Cluster size",
    help: "What is stored at a time. Small clusters make small files, large clusters are faster for very large disks.",
    choices: CLUSTER_SIZES.map((value) => ({
      value,
      label: value.replace(/^(\d+)(\w?)$/, (_, n, unit) => `${n} ${unit === "" ? "" : `${unit.toUpperCase()}i`}B`),
    })),
    initial: "64k",
  },
  {
    name: "extended_l2",
    label: "Subclusters",
    help: "Extended L2 entries: 32 subclusters per cluster. Needs QEMU 5.2 or later and clusters of at least 16 KiB.",
    choices: plain(["off", "on"]),
    initial: "off",
  },
  {
    name: "refcount_bits",
    label: "Refcount width",
    help: "Bits per reference count; 16 suits everything.",
    choices: plain(["1", "2", "4", "8", "16", "32", "64"]),
    initial: "16",
  },
  {
    name: "lazy_refcounts",
    label: "Lazy refcounts",
    help: "Lets QEMU put off counting references while it writes; the image itself is written with all of them.",
    choices: plain(["off", "on"]),
    initial: "off",
  },
  {
    name: "data_file",
    label: "External data file",
    help: "Name of a second file that holds the disk's data, uncompressed; empty: one file holds all. QEMU 4.0 and later.",
    choices: null,
    initial: "",
  },
  {
    name: "data_file_raw",
    label: "Raw data file",
    help: "Keeps the external data file a raw image of the disk, whatever QEMU does later.",
    choices: plain(["off", "on"]),
    initial: "off",
  },
];

/** The options as the writer needs them. */
export interface Layout {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly clusterSize: number;
  readonly compression: "off" | "deflate" | "zstd";
  /** `Encoding.small`. */
  readonly small: boolean;
  readonly extendedL2: boolean;
  readonly refcountBits: number;
  readonly l2EntryBytes: 8 | 16;
  /** Bytes of disk per L2 table. */
  readonly tableSpan: number;
  /** Virtual size, in whole sectors: QEMU drops what does not fill one. */
  readonly size: number;
  readonly l1Entries: number;
  readonly lazyRefcounts: boolean;
  /** Name of the external data file; null: there is none. */
  readonly dataFile: string | null;
  /** Means nothing without a data file. */
  readonly dataFileRaw: boolean;
  /** The backing file as QEMU is told of it; null: the image stands alone. */
  readonly backing: { readonly name: string; readonly format: string } | null;
}

/** `spec.options` must hold choices of OPTIONS. */
export function layoutOf(spec: TargetSpec): Layout {
  const option = (name: string): string => spec.options[name] ?? (OPTIONS.find((known) => known.name === name)?.initial as string);
  const clusterSize = clusterSizeOf(option("cluster_size"));
  const extendedL2 = option("extended_l2") === "on";
  const l2EntryBytes = extendedL2 ? 16 : 8;
  const tableSpan = (clusterSize / l2EntryBytes) * clusterSize;
  const size = wholeSectors(spec.size);
  const compression = option("compression");
  const dataFile = option("data_file") === "" ? null : option("data_file");
  return {
    version: option("compat") === "0.10" ? 2 : 3,
    clusterBits: Math.log2(clusterSize),
    clusterSize,
    compression: compression === "deflate" || compression === "zstd" ? compression : "off",
    small: wantsSmall(spec),
    extendedL2,
    refcountBits: Number(option("refcount_bits")),
    l2EntryBytes,
    tableSpan,
    size,
    l1Entries: Math.max(1, Math.ceil(size / tableSpan)),
    lazyRefcounts: option("lazy_refcounts") === "on",
    dataFile,
    dataFileRaw: option("data_file_raw") === "on",
    backing: spec.base === undefined ? null : { name: backingName(spec.base), format: spec.base.format },
  };
}

function clusterSizeOf(text: string): number {
  if (text.endsWith("k")) return Number(text.slice(0, -1)) * 1024;
  return text.endsWith("M") ? Number(text.slice(0, -1)) << 20 : Number(text);
}

const GIB = 2 ** 30;
const inGib = (bytes: number) => `${Math.floor(bytes / GIB)} GiB`;

export function baseLosses(base: Base, spec: Omit<TargetSpec, "identity">): readonly Loss[] {
  const layout = layoutOf({ ...spec, base, identity: new Uint8Array(16) });
  const block = (what: string, why: string): Loss => ({ what, why, severity: "blocker" });
  // QEMU does not recognise a DMG by its content, but opens what is stated to be one.
  const unread = backingLosses(base, ["dmg"]);
  if (unread.length > 0) return unread;
  if (layout.dataFile !== null && layout.dataFileRaw)
    return [block("A raw data file", "it holds the whole disk, so there can be no base below it")];
  if (new TextEncoder().encode(layout.backing?.name ?? "").length > q.MAX_BACKING_NAME || !headerFits(layout))
    return [
      block("The base's name is too long", `“${base.name}” and the header have no room in a first cluster of ${layout.clusterSize} bytes`),
    ];
  return [];
}

export function lossesOf(spec: TargetSpec): Loss[] {
  const layout = layoutOf(spec);
  const { version, clusterSize, compression, extendedL2, refcountBits, tableSpan, size } = layout;
  const losses: Loss[] = [];
  const block = (what: string, why: string) => losses.push({ what, why, severity: "blocker" });
  const largest = (q.MAX_L1_BYTES / 8) * tableSpan;
  const largestFile = largestFileOf(layout);
  if (size > largest)
    block(
      "The disk is too large for this cluster size",
      `clusters of ${clusterSize} bytes map at most ${inGib(largest)}; choose larger ones`,
    );
  else if (size + size / 32 > largestFile)
    block(
      "The disk is too large for these reference counts",
      `${refcountBits} bits with clusters of ${clusterSize} bytes count at most ${inGib(largestFile)} of file; choose larger clusters or fewer bits`,
    );
  if (version === 2 && compression === "zstd") block("zstd compression", "version 2 (compat 0.10) knows only deflate");
  if (version === 2 && extendedL2) block("Subclusters", "extended L2 entries need version 3 (compat 1.1)");
  if (version === 2 && refcountBits !== 16) block(`Reference counts of ${refcountBits} bits`, "version 2 (compat 0.10) has 16 bits only");
  if (extendedL2 && clusterSize < 2 ** q.MIN_EXTENDED_CLUSTER_BITS)
    block("Subclusters", "extended L2 entries need clusters of at least 16 KiB");
  if (version === 2 && layout.lazyRefcounts) block("Lazy refcounts", "they need version 3 (compat 1.1)");
  losses.push(...dataFileLosses(layout, plainName(spec.name)));
  if (compression !== "off" && refcountBits === 1)
    losses.push({
      what: "Compression saves no space",
      why: "a 1-bit reference count lets no two compressed clusters share a place",
      severity: "warning",
    });
  losses.push(...sectorLosses(spec.size, "qcow2 disk"));
  return losses;
}

function dataFileLosses({ version, compression, dataFile, dataFileRaw }: Layout, imageName: string): Loss[] {
  if (dataFile === null)
    return dataFileRaw
      ? [{ what: "data_file_raw changes nothing", why: "there is no such file without data_file", severity: "warning" }]
      : [];
  const found: Loss[] = [];
  const block = (why: string) => found.push({ what: "An external data file", why, severity: "blocker" });
  if (version === 2) block("it needs version 3 (compat 1.1)");
  if (compression !== "off") block("its clusters cannot be compressed");
  if (dataFile !== plainName(dataFile)) block(`“${dataFile}” is a path; it lies beside the image, under a plain name`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no file system's names have them, and a NUL would end the name early
  if (/[\u0000-\u001f\u007f]/.test(dataFile)) block("its name has control characters");
  // Case counts on some file systems and does not on others.
  if (dataFile.toLowerCase() === imageName.toLowerCase()) block("its name is that of the image");
  if (new TextEncoder().encode(dataFile).length > q.MAX_DATA_FILE_NAME) block(`its name has more than ${q.MAX_DATA_FILE_NAME} bytes`);
  if (found.length === 0)
    found.push({
      what: "The image consists of two files",
      why: `the data are in ${dataFile}; QEMU looks for it in the folder where it is started`,
      severity: "note",
    });
  return found;
}

/** What the refcount table, with QEMU's limit of 8 MiB, can count. */
function largestFileOf({ clusterSize, refcountBits }: Layout): number {
  return (q.MAX_REFCOUNT_TABLE_BYTES / 8) * refcountBlockEntries(clusterSize, refcountBits) * clusterSize;
}

export function qemuArgumentsOf(spec: TargetSpec): string[] {
  const { version, clusterSize, compression, extendedL2, refcountBits, lazyRefcounts, dataFile, dataFileRaw } = layoutOf(spec);
  const settings = [`compat=${version === 2 ? "0.10" : "1.1"}`, `cluster_size=${clusterSize}`, `refcount_bits=${refcountBits}`];
  if (extendedL2) settings.push("extended_l2=on");
  if (lazyRefcounts) settings.push("lazy_refcounts=on");
  if (dataFile !== null) settings.push(`data_file=${dataFile.replaceAll(",", ",,")}`, `data_file_raw=${dataFileRaw ? "on" : "off"}`);
  if (compression !== "off") settings.push(`compression_type=${compression === "zstd" ? "zstd" : "zlib"}`);
  const over = spec.base === undefined ? [] : ["-B", backingName(spec.base), "-F", spec.base.format];
  return ["-O", "qcow2", ...over, ...(compression === "off" ? [] : ["-c"]), "-o", settings.join(",")];
}
