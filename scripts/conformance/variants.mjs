/** Images as qemu-img makes them, in every variant that Spindle reads. `make` is run in the folder of the image. */
import { pairwise } from "./pairwise.mjs";

const CLUSTER_SIZES = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152];
const DISKS = ["gpt", "odd", "zero", "sparse"];
/** Sizes between the smallest, the usual and the largest are alike: they are tried with two disks and without preallocation. */
const MAIN_SIZES = [512, 4096, 65536, 2097152];

const optionsOf = (row) =>
  Object.entries(row)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");

const nameOf = (format, { disk, ...rest }) => [format, optionsOf(rest), "of", disk].filter((word) => word !== "").join(" ");

function qcow2Variants() {
  const factors = {
    cluster_size: CLUSTER_SIZES,
    packing: ["plain", "zlib", "zstd"],
    disk: DISKS,
    compat: ["1.1", "0.10"],
    extended_l2: ["off", "on"],
    refcount_bits: [16, 1, 2, 4, 8, 32, 64],
    lazy_refcounts: ["off", "on"],
    preallocation: ["off", "metadata", "falloc", "full"],
  };
  const rows = pairwise(factors, (row) => {
    const old = row.compat === "0.10";
    if (old && (row.packing === "zstd" || row.extended_l2 === "on" || row.refcount_bits !== 16 || row.lazy_refcounts === "on"))
      return false;
    if (row.extended_l2 === "on" && row.cluster_size < 16384) return false;
    const hasFewData = row.disk !== "odd" && row.disk !== "gpt";
    // Counts are read by no conversion; \`info\` tells their width.
    if (row.refcount_bits !== 16 && (![1024, 65536].includes(row.cluster_size) || hasFewData || row.preallocation !== "off")) return false;
    if (row.preallocation !== "off" && (row.packing !== "plain" || row.disk === "sparse" || row.cluster_size < 4096)) return false;
    if (!MAIN_SIZES.includes(row.cluster_size) && (row.preallocation !== "off" || hasFewData)) return false;
    // L1 tables of a 1 TiB disk are too large for smaller clusters; the tables of large ones take qemu-img long.
    return row.disk !== "sparse" || row.cluster_size >= 8192;
  });
  return rows.map((row) => {
    const { packing, disk, ...options } = row;
    const words = packing === "plain" ? [] : ["-c"];
    const all = { ...options, compression_type: packing === "zstd" ? "zstd" : null };
    return {
      name: nameOf("qcow2", { disk, packing: packing === "plain" ? null : packing, ...options }),
      format: "qcow2",
      disk,
      holesInData: options.preallocation !== "off",
      make: (qemuImg, raw, image, run) =>
        qemuImg.must(["convert", ...words, "-f", "raw", "-O", "qcow2", "-o", optionsOf(all), raw, image], run),
    };
  });
}

function vmdkVariants() {
  const factors = {
    subformat: ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"],
    disk: DISKS,
    adapter_type: ["ide", "lsilogic", "buslogic", "legacyESX"],
    zeroed_grain: ["off", "on"],
    compat6: ["off", "on"],
  };
  const rows = pairwise(factors, (row) => {
    const flat = row.subformat.endsWith("Flat");
    if (flat && row.zeroed_grain === "on") return false;
    // One word of the descriptor, and qemu-img takes long over each grain of a terabyte.
    if (row.disk === "sparse" && row.adapter_type !== "lsilogic") return false;
    // A flat 1 TiB would be read to the last zero, and in 2 GiB pieces it would be 512 files.
    return row.disk !== "sparse" || ["monolithicSparse", "streamOptimized"].includes(row.subformat);
  });
  return rows.map(({ disk, ...options }) => ({
    name: nameOf("vmdk", { disk, ...options }),
    format: "vmdk",
    disk,
    holesInData: options.subformat.endsWith("Flat"),
    make: (qemuImg, raw, image, run) => qemuImg.must(["convert", "-f", "raw", "-O", "vmdk", "-o", optionsOf(options), raw, image], run),
  }));
}

function vdiVariants() {
  const rows = pairwise({ static: ["off", "on"], disk: DISKS }, (row) => row.disk !== "sparse" || row.static === "off");
  return rows.map(({ disk, ...options }) => ({
    name: nameOf("vdi", { disk, ...options }),
    format: "vdi",
    disk,
    holesInData: options.static === "on",
    make: (qemuImg, raw, image, run) => qemuImg.must(["convert", "-f", "raw", "-O", "vdi", "-o", optionsOf(options), raw, image], run),
  }));
}

/**
 * Variants of a format whose options `qemu-img convert` takes as they are. `mapAborts`: `qemu-img map` of a terabyte of this format
 * fails an assertion (7.2).
 */
const simpleVariants = (format, factors, { allowed, holesInData = () => false, mapAborts = false } = {}) =>
  pairwise(factors, allowed).map(({ disk, ...options }) => ({
    name: nameOf(format, { disk, ...options }),
    format,
    disk,
    holesInData: holesInData(options),
    hasNoMap: mapAborts && disk === "sparse",
    make: (qemuImg, raw, image, run) => {
      const given = optionsOf(options);
      return qemuImg.must(["convert", "-f", "raw", "-O", format, ...(given === "" ? [] : ["-o", given]), raw, image], run);
    },
  }));

const vhdVariants = () =>
  simpleVariants(
    "vpc",
    { subformat: ["dynamic", "fixed"], force_size: ["on", "off"], disk: DISKS },
    // By CHS the disk grows to whole cylinders, and one of a terabyte has none.
    {
      allowed: (row) => row.disk !== "sparse" || (row.subformat === "dynamic" && row.force_size === "on"),
      holesInData: ({ subformat }) => subformat === "fixed",
    },
  ).map((variant) => ({ ...variant, changed: variant.name.includes("force_size=off") }));

const vhdxVariants = () =>
  simpleVariants(
    "vhdx",
    {
      subformat: ["dynamic", "fixed"],
      block_size: ["1M", "2M", "8M", "32M", "256M"],
      log_size: ["1M", "4M"],
      block_state_zero: ["on", "off"],
      disk: ["gpt", "odd", "zero"],
    },
    { allowed: (row) => row.subformat === "dynamic" || row.block_size !== "256M" },
  );

const parallelsVariants = () =>
  simpleVariants(
    "parallels",
    { cluster_size: ["64k", "1M", "2M"], disk: DISKS },
    { allowed: (row) => row.disk !== "sparse" || row.cluster_size === "1M", mapAborts: true },
  );

const qedVariants = () =>
  simpleVariants(
    "qed",
    { cluster_size: [4096, 65536, 1048576], table_size: [2, 4, 16], disk: DISKS },
    { allowed: (row) => row.disk !== "sparse" || row.cluster_size === 65536, mapAborts: true },
  );

const qcowVariants = () => [
  ...simpleVariants("qcow", { disk: ["gpt", "odd", "zero"] }),
  ...["gpt", "odd"].map((disk) => ({
    name: `qcow -c of ${disk}`,
    format: "qcow",
    disk,
    // qemu-img 7.2 writes all of it, ends with 1 and says nothing.
    async make(qemuImg, raw, image, run) {
      await qemuImg.run(["convert", "-c", "-f", "raw", "-O", "qcow", raw, image], run);
      await qemuImg.must(["compare", "-f", "raw", "-F", "qcow", raw, image], run);
    },
  })),
];

/** What the encrypted images are encrypted with. */
export const PASSPHRASE = "a passphrase, with an ü";

/** Options are those of `encrypt.` for the qcow formats and of the format itself for LUKS. */
function encrypted(format, options, disk) {
  const prefix = format === "luks" ? "" : "encrypt.";
  const given = Object.entries({ ...options, "key-secret": "s0" }).map(([name, value]) => `${prefix}${name}=${value}`);
  return {
    name: `${format} encrypted ${optionsOf(options)} of ${disk}`,
    format,
    disk,
    encrypted: true,
    async make(qemuImg, raw, image, run) {
      const secret = `secret,id=s0,data=${PASSPHRASE.replaceAll(",", ",,")}`;
      const words = ["convert", "--object", secret, "-f", "raw", "-O", format, "-o", given.join(","), raw, image];
      await qemuImg.must(words, run);
    },
  };
}

const FAST = { "iter-time": 10 };
const encryptedVariants = () => [
  encrypted("qcow", { format: "aes" }, "odd"),
  encrypted("qcow2", { format: "aes" }, "odd"),
  encrypted("qcow2", { format: "luks", ...FAST }, "gpt"),
  encrypted("qcow2", { format: "luks", "cipher-alg": "aes-128", "cipher-mode": "cbc", "ivgen-alg": "plain64", ...FAST }, "odd"),
  encrypted("luks", { ...FAST }, "gpt"),
  encrypted("luks", { "cipher-alg": "aes-128", "hash-alg": "sha1", ...FAST }, "odd"),
  encrypted(
    "luks",
    { "cipher-alg": "aes-256", "cipher-mode": "cbc", "ivgen-alg": "essiv", "ivgen-hash-alg": "sha256", "hash-alg": "sha512", ...FAST },
    "odd",
  ),
  encrypted("luks", { "cipher-alg": "aes-128", "cipher-mode": "cbc", "ivgen-alg": "plain", ...FAST }, "zero"),
];

const write = (qemuIo, image, commands, run, format = "qcow2") =>
  qemuIo.must(["-f", format, ...commands.flatMap((command) => ["-c", command]), image], run);

/** Variants of several files or of several states. `expect`: the state to read, when it is not what qemu-img reads now. */
function layered() {
  const external = (raw) => ({
    name: `qcow2 data_file${raw === "on" ? " data_file_raw" : ""} of gpt`,
    format: "qcow2",
    disk: "gpt",
    holesInData: true,
    make: (qemuImg, disk, image, run) =>
      qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", "-o", `data_file=disk.data,data_file_raw=${raw}`, disk, image], run),
  });
  const chain = (format, size) => ({
    name: `${format} chain of three${size ? ", growing" : ""}`,
    format,
    disk: "odd",
    changed: true,
    async make(qemuImg, disk, image, run, qemuIo) {
      await qemuImg.must(["convert", "-f", "raw", "-O", format, disk, `base.${format}`], run);
      const words = (backing) => ["create", "-q", "-f", format, "-b", backing, "-F", format];
      await qemuImg.must([...words(`base.${format}`), `middle.${format}`], run);
      await write(qemuIo, `middle.${format}`, ["write -P 0x31 64k 192k", "write -z 7M 128k"], run, format);
      await qemuImg.must([...words(`middle.${format}`), image, ...(size ? [size] : [])], run);
      await write(qemuIo, image, ["write -P 0x32 128k 70k", size ? "write -P 0x33 11M 4k" : "write -P 0x34 9M 4k"], run, format);
    },
  });
  const snapshot = (words) => ({
    name: `qcow2 snapshots, ${words.length > 0 ? words.join(" ") : "the active state"}`,
    format: "qcow2",
    disk: "gpt",
    changed: words.length === 0,
    read: words,
    async make(qemuImg, disk, image, run, qemuIo) {
      await qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", disk, image], run);
      await qemuImg.must(["snapshot", "-c", "first", image], run);
      await write(qemuIo, image, ["write -P 0x41 0 1M", "write -z 20M 1M"], run);
      await qemuImg.must(["snapshot", "-c", "second state", image], run);
      await write(qemuIo, image, ["write -P 0x42 512k 3M"], run);
    },
  });
  const vmdkChain = { ...chain("vmdk", null), name: "vmdk chain of three" };
  const rawBase = {
    name: "qcow2 on a raw base",
    format: "qcow2",
    disk: "gpt",
    changed: true,
    holesInData: true,
    async make(qemuImg, disk, image, run, qemuIo) {
      await qemuImg.must(["convert", "-f", "raw", "-O", "raw", disk, "base.raw"], run);
      await qemuImg.must(["create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "-b", "base.raw", "-F", "raw", image], run);
      await write(qemuIo, image, ["write -P 0x51 4k 2k", "write -z 22M 100k", "write -P 0x52 39M 1M"], run);
    },
  };
  const bitmaps = {
    name: "qcow2 with a bitmap",
    format: "qcow2",
    disk: "odd",
    async make(qemuImg, disk, image, run) {
      await qemuImg.must(["convert", "-f", "raw", "-O", "qcow2", disk, image], run);
      await qemuImg.must(["bitmap", "--add", image, "b0"], run);
    },
  };
  return [
    external("off"),
    external("on"),
    chain("qcow2", null),
    chain("qcow2", "12M"),
    vmdkChain,
    snapshot([]),
    snapshot(["-l", "first"]),
    snapshot(["-l", "snapshot.id=1"]),
    rawBase,
    bitmaps,
  ];
}

export const readableVariants = () => [
  ...qcow2Variants(),
  ...vmdkVariants(),
  ...vdiVariants(),
  ...vhdVariants(),
  ...vhdxVariants(),
  ...parallelsVariants(),
  ...qedVariants(),
  ...qcowVariants(),
  ...encryptedVariants(),
  ...layered(),
];
