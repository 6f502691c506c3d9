/** Every writer with every choice of every option, as the words of `spindle convert`. */
import { pairwise } from "./pairwise.mjs";

const CLUSTER_SIZES = ["512", "1k", "2k", "4k", "8k", "16k", "32k", "64k", "128k", "256k", "512k", "1M", "2M"];

/** What each writer offers; `null`: free text. `checkTable` compares it with the program's own list. */
export const OFFERED = {
  raw: {},
  qcow2: {
    compression: ["off", "deflate", "zstd"],
    compat: ["1.1", "0.10"],
    cluster_size: CLUSTER_SIZES,
    extended_l2: ["off", "on"],
    refcount_bits: ["1", "2", "4", "8", "16", "32", "64"],
    lazy_refcounts: ["off"],
  },
  vmdk: {
    subformat: ["monolithicSparse", "streamOptimized", "monolithicFlat", "vmfs"],
    adapter_type: ["lsilogic", "ide", "buslogic", "legacyESX"],
    hwversion: null,
    cid: null,
  },
  vdi: { static: ["off", "on"] },
};

const DISKS = ["gpt", "odd", "zero", "sparse", "dense"];

/** Combinations that the program must refuse, or that take too long on this disk. */
const RULES = {
  qcow2(row) {
    if (row.compat === "0.10" && (row.compression === "zstd" || row.extended_l2 === "on" || row.refcount_bits !== "16")) return false;
    if (row.extended_l2 === "on" && CLUSTER_SIZES.indexOf(row.cluster_size) < CLUSTER_SIZES.indexOf("16k")) return false;
    if (row.refcount_bits !== "16" && !["1k", "64k", "2M"].includes(row.cluster_size)) return false;
    return row.disk !== "sparse" || CLUSTER_SIZES.indexOf(row.cluster_size) >= CLUSTER_SIZES.indexOf("8k");
  },
};

const FREE_TEXT = { hwversion: ["7", "21"], cid: ["", "89abcdef"] };

function targetOf(format, { disk, ...options }) {
  const { compression = "off", ...rest } = options;
  const list = Object.entries(rest).map(([name, value]) => `${name}=${value}`);
  if (compression === "zstd") list.push("compression_type=zstd");
  const words = ["-O", format, ...(compression === "off" ? [] : ["-c"]), ...(list.length > 0 ? ["-o", list.join(",")] : [])];
  const packed = compression !== "off" || options.subformat === "streamOptimized";
  return { name: `${words.slice(1).join(" ")} of ${disk}`, format, disk, options, words, packed };
}

export function targets() {
  return Object.entries(OFFERED).flatMap(([format, offered]) => {
    const choices = Object.entries(offered).map(([name, values]) => [name, values ?? FREE_TEXT[name]]);
    return pairwise({ ...Object.fromEntries(choices), disk: DISKS }, RULES[format]).map((row) => targetOf(format, row));
  });
}

/** One or two of each writer, for conversions from every one to every one. */
export const REPRESENTATIVES = [
  targetOf("raw", { disk: "odd" }),
  targetOf("qcow2", { disk: "odd", cluster_size: "64k" }),
  targetOf("qcow2", { disk: "odd", compression: "deflate", cluster_size: "4k" }),
  targetOf("qcow2", { disk: "odd", compression: "zstd", extended_l2: "on" }),
  targetOf("vmdk", { disk: "odd", subformat: "monolithicSparse" }),
  targetOf("vmdk", { disk: "odd", subformat: "streamOptimized" }),
  targetOf("vmdk", { disk: "odd", subformat: "monolithicFlat" }),
  targetOf("vdi", { disk: "odd", static: "off" }),
  targetOf("vdi", { disk: "odd", static: "on" }),
];

/** The program's own list of options and choices against OFFERED: an option that is added there must be tested here. */
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
  const { stderr } = await spindle(["measure", "--size", "1M", "-O", "no_such_format"]);
  const formats = /; (?:known: |there are )(.*?)\.?$/m.exec(stderr)?.[1];
  const known = Object.keys(OFFERED);
  if (formats === undefined || formats.split(", ").sort().join() !== known.sort().join())
    faults.push(`the program writes ${formats}, tested are ${known.join(", ")}`);
  return faults;
}
