/** Section "real images": images that other projects test with, against their recorded content hashes. */

import { spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { which } from "../executables.mjs";
import { contentHash, fileHash, hashByReading, hashByTool } from "./content-hash.mjs";
import { forEachOf } from "./report.mjs";
import { readExceptions, readTable } from "./table.mjs";
import { clearErrorFault, leftoverFault, refusalFaults, remarksOf, successFault } from "./verdicts.mjs";

const FORMATS = ["raw", "qcow2", "vmdk", "vdi"];

/** What takes one wrapper off: the program and its words for a file and, in archives, a member. */
const PEELERS = {
  xz: { program: "xz", words: (file) => ["-dc", file] },
  gz: { program: "gzip", words: (file) => ["-dc", file] },
  bz2: { program: "bzip2", words: (file) => ["-dc", file] },
  zip: { program: "7zz", words: (file, member) => ["e", "-so", file, member] },
  tar: { program: "tar", words: (file, member) => ["-xaOf", file, member] },
};

/** `zip:x.gz < gz < bz2`: the file is bz2 around gz around a zip with the member x.gz. */
const layersOf = (wrapper) =>
  wrapper === "-"
    ? []
    : wrapper
        .split("<")
        .map((layer) => layer.trim())
        .reverse();

export async function checkCorpus(section, { spindle, corpus, work }) {
  if (corpus === null) {
    section.skip("all rows", "no corpus: set SPINDLE_CORPUS or put it beside the repository as ../shared/corpus");
    return;
  }
  const tool = which("perl") === null ? null : join(corpus, "nzhash");
  const exceptions = readExceptions("corpus");
  const rows = readTable(join(corpus, "manifest.tsv")).filter(({ format }) => FORMATS.includes(format));
  if (rows.length === 0) section.fail("manifest.tsv", "has no row of the formats that are read");
  for (const name of exceptions.keys())
    if (!rows.some((row) => row.name === name)) section.fail(`exception ${name}`, "the manifest has no such row");
  await section.row("content hash: both ways agree", async () => checkHash(join(corpus, "files", rows[0].name), tool));
  const context = { section, spindle, corpus, work, tool, exceptions };
  await forEachOf([...rows.entries()], ([number, row]) => checkRow(context, row, number));
}

async function checkHash(path, tool) {
  if (tool === null) return "";
  return (await hashByTool(path, tool)) === (await hashByReading(path)) ? "" : "the two implementations differ";
}

async function checkRow(context, row, number) {
  const { section, corpus, work, exceptions } = context;
  if (!section.wants(row.name)) return;
  const packed = join(corpus, "files", row.name);
  const layers = layersOf(row.wrapper);
  const lacking = layers.map((layer) => PEELERS[layer.split(":")[0]]?.program).find((program) => program && which(program) === null);
  if (lacking !== undefined) {
    section.skip(row.name, `${lacking} is not installed, which takes its wrapper off`);
    return;
  }
  if (!existsSync(packed)) {
    section.skip(row.name, "the corpus has the row but not the file");
    return;
  }
  const folder = join(work, `corpus-${number}`);
  const out = join(folder, "out");
  mkdirSync(out, { recursive: true });
  try {
    await section.row(row.name, async () => {
      const source = await peel(packed, layers, folder);
      const exception = exceptions.get(row.name);
      return judgeRow(context, exception === undefined ? row : { ...row, expect: exception.expect, nz_sha256: "-" }, source, out);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The image itself: the corpus' own file, or what comes out of its wrappers, in a folder of its own. */
async function peel(file, layers, folder) {
  let current = file;
  for (const layer of layers) {
    const [kind, member] = layer.split(/:(.*)/s);
    const peeler = PEELERS[kind];
    if (peeler === undefined) continue; // "zip(empty)" has nothing to take out
    const name = basename(member ?? basename(current).replace(/\.(xz|gz|bz2|tgz|zip)$/i, "")) || "disk";
    const next = join(folder, `${name === basename(current) ? `inner-${name}` : name}`);
    const child = spawn(which(peeler.program), peeler.words(current, member), { stdio: ["ignore", "pipe", "ignore"] });
    const code = new Promise((resolve) => child.on("error", () => resolve(127)).on("close", resolve));
    await pipeline(child.stdout, createWriteStream(next));
    if ((await code) !== 0) throw new Error(`${peeler.program} cannot take the wrapper ${layer} off: exit code ${await code}`);
    current = next;
  }
  return current;
}

async function judgeRow({ spindle, tool }, row, source, out) {
  const target = join(out, "disk.raw");
  const result = await spindle(["convert", "-O", "raw", source, target], { seconds: 120 });
  if (/^clear error naming the missing extent/.test(row.expect)) {
    const missing = missingNames(source);
    const named = missing.some((name) => result.stderr.includes(name));
    const fault = named ? "" : `the message names none of ${missing.join(", ")}: ${result.stderr.trim()}`;
    return [clearErrorFault(result, source, ...missing), leftoverFault(out), fault];
  }
  if (/^clear error|^refuse/.test(row.expect)) return refusalFaults(result, source, out);
  if (/^companion/.test(row.expect)) return companionFault(result, row, source, target, tool);
  if (result.code !== 0) return successFault(result);
  return contentFault(row, target, tool);
}

async function contentFault(row, target, tool) {
  const golden = row.nz_sha256 !== "-" ? row.nz_sha256 : row.raw_sha256;
  if (golden === "-") return "the manifest has no hash to compare with";
  const found = row.nz_sha256 !== "-" ? await contentHash(target, tool) : await fileHash(target);
  return found === golden ? "" : `content hash ${found.slice(0, 16)}…, expected ${golden.slice(0, 16)}…`;
}

/** Files that the image names and that are not there. */
function missingNames(source) {
  const head = readFileSync(source)
    .subarray(0, 1 << 16)
    .toString("latin1");
  const named = [...head.matchAll(/[\w.-]+\.(?:vmdk|raw|img|qcow2|data|dat)\b/g)].map(([name]) => name);
  return named.filter((name) => name !== basename(source) && !existsSync(join(dirname(source), name)));
}

/** One part of an image, opened alone: refused, or read as what it is with a word about it. */
async function companionFault(result, row, source, target, tool) {
  if (result.code !== 0) return clearErrorFault(result, source);
  if (!remarksOf(result).some((remark) => /\b(part|extent|companion|descriptor|segment)\b/i.test(remark)))
    return "read alone without a word about the image that it is a part of";
  return row.nz_sha256 === "-" ? "" : contentFault(row, target, tool);
}
