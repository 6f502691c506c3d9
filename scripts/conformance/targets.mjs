/** Every writer with every choice of every option, as the words of `spindle convert`. */
import { pairwise } from "./pairwise.mjs";

const QCOW2_CLUSTERS = ["512", "1k", "2k", "4k", "8k", "16k", "32k", "64k", "128k", "256k", "512k", "1M", "2M"];
const QED_CLUSTERS = QCOW2_CLUSTERS.slice(3);
const UUID = "01234567-89ab-4cde-8f01-23456789abcd";

/** What each writer offers; `null`: free text. `tableFaults` compares it with the program's own list. */
export const OFFERED = {
  raw: { packaging: ["none", "gzip", "zstd", "gce"] },
  qcow2: {
    compression: ["off", "deflate", "zstd"],
    effort: ["fast", "small"],
    compat: ["1.1", "0.10"],
    cluster_size: QCOW2_CLUSTERS,
    extended_l2: ["off", "on"],
    refcount_bits: ["1", "2", "4", "8", "16", "32", "64"],
    lazy_refcounts: ["off", "on"],
    data_file: null,
    data_file_raw: ["off", "on"],
  },
  vmdk: {
    subformat: ["monolithicSparse", "streamOptimized", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs", "vmfsThin"],
    effort: ["fast", "small"],
    adapter_type: ["lsilogic", "ide", "buslogic", "legacyESX"],
    hwversion: null,
    zeroed_grain: ["off", "on"],
    cid: null,
    id: null,
  },
  vdi: { static: ["off", "on"], id: null },
  vpc: { subformat: ["dynamic", "fixed"], id: null },
  vhdx: {
    subformat: ["dynamic", "fixed"],
    block_size: ["auto", "1M", "2M", "4M", "8M", "16M", "32M", "64M", "128M", "256M"],
    logical_sector_size: ["512", "4096"],
    id: null,
  },
  parallels: { cluster_size: ["64k", "128k", "256k", "512k", "1M", "2M"], bundle: ["off", "on"] },
  qed: { cluster_size: QED_CLUSTERS, table_size: ["2", "4", "8", "16"] },
  dmg: { effort: ["fast", "small"], id: null },
  "android-sparse": { zeros: ["fill", "dont_care"] },
  xva: {},
  ova: {},
};

const FREE_TEXT = { hwversion: ["7", "21"], cid: ["", "89abcdef"], data_file: ["", "disk.data"], id: ["", UUID] };

const DISKS = ["gpt", "odd", "zero", "sparse", "dense"];
const SPARSE_BYTES = 2 ** 40;

export const bytesOf = (text) => Number.parseInt(text, 10) * { k: 1 << 10, M: 1 << 20 }[text.at(-1)] || Number(text);

/** Sizes between the smallest, the usual and the largest are alike: they are tried with two disks. */
const SIZES = ["1k", "4k", "64k", "1M", "2M"];
const isUsual = (size, { disk }) => SIZES.includes(size) || disk === "odd" || disk === "gpt";

/** Combinations that the program must refuse, that change nothing, that are like others, or that take too long on this disk. */
const RULES = {
  // A packed terabyte is a terabyte for those who unpack it.
  raw: (row) => row.disk !== "sparse" || row.packaging === "none",
  qcow2(row) {
    const plain16 = row.refcount_bits === "16";
    if (row.effort === "small" && row.compression !== "deflate") return false;
    if (row.compat === "0.10" && (row.compression === "zstd" || row.extended_l2 === "on" || !plain16)) return false;
    if (row.compat === "0.10" && (row.lazy_refcounts === "on" || row.data_file !== "")) return false;
    if (row.data_file !== "" && row.compression !== "off") return false;
    if (row.data_file === "" && row.data_file_raw === "on") return false;
    if (row.extended_l2 === "on" && bytesOf(row.cluster_size) < 16 << 10) return false;
    if (!plain16 && !["1k", "64k", "2M"].includes(row.cluster_size)) return false;
    return isUsual(row.cluster_size, row) && (row.disk !== "sparse" || bytesOf(row.cluster_size) >= 8 << 10);
  },
  vmdk(row) {
    if (row.effort === "small" && row.subformat !== "streamOptimized") return false;
    if (row.zeroed_grain === "on" && !["monolithicSparse", "twoGbMaxExtentSparse"].includes(row.subformat)) return false;
    // One word of the descriptor, which the same code writes for all.
    if (row.adapter_type !== "lsilogic" && (row.disk !== "odd" || !["monolithicSparse", "streamOptimized", "vmfs"].includes(row.subformat)))
      return false;
    if (row.subformat === "vmfsThin" && row.disk !== "odd" && row.disk !== "gpt") return false;
    // A terabyte would be 513 files.
    return row.disk !== "sparse" || !row.subformat.startsWith("twoGb");
  },
  vhdx(row) {
    // Whole sectors of 4096 bytes only.
    if (row.logical_sector_size === "4096" && ["odd", "dense"].includes(row.disk)) return false;
    // Nobody here reads a fixed one of a terabyte with such sectors.
    if (row.logical_sector_size === "4096" && row.disk === "sparse" && row.subformat === "fixed") return false;
    // Blocks larger than the small disks are like each other, and a fixed image of them is all zeros, which qemu-img reads.
    const isLarge = row.block_size !== "auto" && bytesOf(row.block_size) > 8 << 20;
    if (isLarge && row.disk !== "gpt" && (row.disk !== "sparse" || row.subformat !== "dynamic")) return false;
    return row.block_size === "auto" || isUsual(row.block_size, row);
  },
  parallels: (row) => isUsual(row.cluster_size, row),
  qed(row) {
    const [cluster, table] = [bytesOf(row.cluster_size), Number(row.table_size)];
    const reach = ((cluster * table) / 8) ** 2 * cluster;
    // qemu counts the reach in 64 bits.
    if (reach >= 2 ** 64) return false;
    if (!isUsual(row.cluster_size, row) || (row.table_size !== "4" && !SIZES.includes(row.cluster_size))) return false;
    return row.disk !== "sparse" || reach >= SPARSE_BYTES;
  },
  // Whoever unpacks it writes a terabyte of zeros.
  "android-sparse": (row) => row.disk !== "sparse" || row.zeros === "dont_care",
};

const PACKED = { raw: ({ packaging }) => packaging !== "none", vmdk: ({ subformat }) => subformat === "streamOptimized" };
const ALWAYS_PACKED = ["dmg", "ova"];

/** Where it is not the format's name; `spindle measure` expects the file to be named so. */
const EXTENSIONS = { vpc: "vhd", parallels: "hdd", "android-sparse": "simg" };

function targetOf(format, { disk, ...options }) {
  const { compression = "off", ...rest } = options;
  const list = Object.entries(rest)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}=${value}`);
  if (compression === "zstd") list.push("compression_type=zstd");
  const words = ["-O", format, ...(compression === "off" ? [] : ["-c"]), ...(list.length > 0 ? ["-o", list.join(",")] : [])];
  const packed = compression !== "off" || ALWAYS_PACKED.includes(format) || (PACKED[format]?.(options) ?? false);
  const file = `disk.${EXTENSIONS[format] ?? format}`;
  return { name: `${words.slice(1).join(" ")} of ${disk}`, format, disk, options, words, packed, file };
}

export function targets() {
  return Object.entries(OFFERED).flatMap(([format, offered]) => {
    const choices = Object.entries(offered).map(([name, values]) => [name, values ?? FREE_TEXT[name]]);
    const rows = pairwise({ ...Object.fromEntries(choices), disk: DISKS }, RULES[format]).map((row) => targetOf(format, row));
    return isFull || rows.length <= MOST_USUAL ? rows : rows.filter((_, i) => i % Math.ceil(rows.length / MOST_USUAL) === 0);
  });
}

/** Every combination takes many minutes: `SPINDLE_FULL=1` tries them all, the usual run an even choice of so many for each format. */
export const isFull = process.env.SPINDLE_FULL !== undefined;
const MOST_USUAL = 11;

/** One or two of each writer; from and to the common ones all others are converted. */
export const REPRESENTATIVES = [
  targetOf("raw", { disk: "odd" }),
  { ...targetOf("qcow2", { disk: "odd", cluster_size: "64k" }), isCommon: true },
  targetOf("qcow2", { disk: "odd", compression: "deflate", cluster_size: "4k" }),
  targetOf("qcow2", { disk: "odd", compression: "zstd", extended_l2: "on" }),
  targetOf("qcow2", { disk: "odd", data_file: "disk.data" }),
  targetOf("vmdk", { disk: "odd", subformat: "monolithicSparse" }),
  { ...targetOf("vmdk", { disk: "odd", subformat: "streamOptimized" }), isCommon: true },
  targetOf("vmdk", { disk: "odd", subformat: "monolithicFlat" }),
  targetOf("vdi", { disk: "odd", static: "off" }),
  targetOf("vdi", { disk: "odd", static: "on" }),
  targetOf("vpc", { disk: "odd", subformat: "dynamic" }),
  targetOf("vpc", { disk: "odd", subformat: "fixed" }),
  targetOf("vhdx", { disk: "odd", subformat: "dynamic" }),
  targetOf("parallels", { disk: "odd" }),
  targetOf("qed", { disk: "odd" }),
  targetOf("dmg", { disk: "odd" }),
  targetOf("android-sparse", { disk: "odd" }),
  targetOf("raw", { disk: "odd", packaging: "gzip" }),
  targetOf("raw", { disk: "odd", packaging: "zstd" }),
  targetOf("xva", { disk: "odd" }),
  targetOf("ova", { disk: "odd" }),
];

/** The program's own list of writers, options and choices against OFFERED: an option that is added there must be tested here. */
export async function tableFaults(spindle) {
  const faults = [];
  const say = async (format, option) => (await spindle(["measure", "--size", "1M", "-O", format, "-o", option])).stderr;
  for (const [format, offered] of Object.entries(OFFERED)) {
    const listed = /it has: (.*)/.exec(await say(format, "no_such_option=1"))?.[1];
    const names = Object.keys(offered).join(", ") || "none";
    if (listed !== names) faults.push(`${format} has the options ${listed}, tested are ${names}`);
    for (const [name, values] of Object.entries(offered)) {
      if (values === null) continue;
      const choices = /choices: (.*)/.exec(await say(format, `${name}=no_such_choice`))?.[1];
      if (choices !== values.join(", ")) faults.push(`${format} ${name} can be ${choices}, tested are ${values.join(", ")}`);
    }
  }
  // The list has what is only read, too.
  const { stderr } = await spindle(["measure", "--size", "1M", "-O", "no_such_format"]);
  const written = /; these are written: (.*?)\.?$/m.exec(stderr)?.[1]?.split(", ") ?? [];
  const known = Object.keys(OFFERED);
  if (written.sort().join() !== known.sort().join())
    faults.push(`the program writes ${written.join(", ")}, tested are ${known.join(", ")}`);
  return faults;
}
