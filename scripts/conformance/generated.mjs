/**
 * Section "generated": valid images of every kind that the corpus' generator can make, for one or more seeds, against their recorded
 * content hashes. SPINDLE_SEEDS names the seeds, separated by commas; each but the first costs two minutes and 1.7 GB once.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { which } from "../executables.mjs";
import { contentHash } from "./content-hash.mjs";
import { generated, lackOf } from "./generators.mjs";
import { forEachOf } from "./report.mjs";
import { readExceptions, readTable } from "./table.mjs";
import { refusalFaults, successFault } from "./verdicts.mjs";

const GENERATOR = "make-corpus.sh";
/** The goldens that the corpus records are of this seed. */
const FIRST_SEED = "1";

export async function checkGenerated(section, context) {
  const { corpus, build, work } = context;
  const lack = lackOf(corpus, GENERATOR, ["bash", "perl", "qemu-img", "qemu-io", "mke2fs", "mkfs.fat", "mcopy", "sfdisk"]);
  if (lack !== "") return section.skip("all rows", lack);
  for (const program of ["mkntfs", "zstd", "bzip2", "zip", "simg2img"])
    if (which(program) === null) section.skip(`images by ${program}`, "not installed");
  const seeds = (process.env.SPINDLE_SEEDS ?? FIRST_SEED).split(",");
  const passphrases = join(work, "passphrases");
  mkdirSync(passphrases);
  for (const seed of seeds) {
    if (!/^\d+$/.test(seed)) throw new Error(`SPINDLE_SEEDS has “${seed}”, which is no number`);
    const name = seed === FIRST_SEED ? "small" : `small-${seed}`;
    const folder = await generated({
      corpus,
      generator: GENERATOR,
      given: process.env.SPINDLE_GENERATED ? join(process.env.SPINDLE_GENERATED, name) : null,
      folder: join(build, name),
      proof: "manifest.tsv",
      words: ["small"],
      env: { SEED: seed },
      seconds: 900,
      surplus: ["src"],
    });
    await checkSeed({ ...context, section, seed, folder, passphrases });
  }
}

async function checkSeed(context) {
  const { section, corpus, seed, folder } = context;
  const rows = readTable(join(folder, "manifest.tsv"));
  await section.row(`seed ${seed}: the rows are the recorded ones`, async () =>
    recordFaults(seed, rows, readTable(join(corpus, "generated-manifest-small.tsv"))),
  );
  const exceptions = readExceptions("generated");
  for (const name of exceptions.keys())
    if (!rows.some((row) => row.name === name)) section.fail(`exception ${name}`, "the generator makes no such image");
  const all = { ...context, tool: which("perl") === null ? null : join(corpus, "nzhash") };
  await forEachOf([...rows.entries()], ([number, row]) => {
    const expect = exceptions.get(row.name)?.expect ?? row.expect;
    return checkRow(all, { ...row, expect }, number);
  });
}

/** Contents are a function of the seed, so those of the first one are known beforehand. */
function recordFaults(seed, rows, recorded) {
  const made = new Map(rows.map((row) => [row.name, row]));
  return recorded.flatMap((row) => {
    const found = made.get(row.name);
    if (found === undefined) return [`${row.name} was not made`];
    const isKnown = seed === FIRST_SEED && row.content_stable === "yes";
    return isKnown && found.nz_sha256 !== row.nz_sha256 ? [`${row.name} has other contents than the recorded ones`] : [];
  });
}

async function checkRow({ section, spindle, work, seed, folder, passphrases, tool }, row, number) {
  const name = `seed ${seed}: ${row.name}`;
  if (!section.wants(name)) return;
  const [path, snapshot] = row.name.split("#");
  const source = join(folder, path);
  const out = join(work, `generated-${number}`);
  mkdirSync(out);
  try {
    await section.row(name, async () => {
      if (!existsSync(source)) return `the manifest has the row but ${dirname(source)} not the file`;
      const words = [
        ...(snapshot === undefined ? [] : ["-l", snapshot]),
        ...(row.secret === "-" ? [] : ["--passphrase-file", passphraseFile(passphrases, row.secret)]),
      ];
      const target = join(out, "disk.raw");
      const image = row.companions.includes("../") ? gathered(source, row.companions, join(out, "in")) : source;
      const result = await spindle(["convert", ...words, "-O", "raw", image, target]);
      if (row.expect.startsWith("clear error")) return refusalFaults(result, source, out);
      if (result.code !== 0) return successFault(result);
      const found = await contentHash(target, tool);
      return found === row.nz_sha256 ? "" : `content hash ${found.slice(0, 16)}…, expected ${row.nz_sha256.slice(0, 16)}… [${row.variant}]`;
    });
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** Parents outside the image's folder are not looked for there: whoever wants them read puts them beside the image. */
function gathered(source, companions, folder) {
  mkdirSync(folder);
  const named = companions
    .trim()
    .split(" ")
    .map((name) => join(dirname(source), name));
  const nearby = readdirSync(dirname(source), { withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [join(dirname(source), entry.name)] : [],
  );
  for (const path of [...named, ...nearby]) copyFileSync(path, join(folder, basename(path)));
  return join(folder, basename(source));
}

function passphraseFile(folder, secret) {
  const path = join(folder, secret);
  writeFileSync(path, secret);
  return path;
}
