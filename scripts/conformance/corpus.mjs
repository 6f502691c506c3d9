/** Section "real images": images that other projects test with, against their recorded content hashes. */

import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { which } from "../executables.mjs";
import { contentHash, fileHash, hashByReading, hashByTool } from "./content-hash.mjs";
import { forEachOf } from "./report.mjs";
import { readExceptions, readTable } from "./table.mjs";
import { clearErrorFault, leftoverFault, refusalFaults, remarksOf, successFault } from "./verdicts.mjs";

/** Which file of an archive a row is about: `zip:x.gz < gz < bz2` is bz2 around gz around a zip with the member x.gz. */
const memberOf = (wrapper) => /(?:^|<\s*)(?:zip|tar):([^<]*?)\s*(?:<|$)/.exec(wrapper)?.[1] ?? null;

export async function checkCorpus(section, { spindle, corpus, work }) {
  if (corpus === null) {
    section.skip("all rows", "no corpus: set SPINDLE_CORPUS or put it beside the repository as ../shared/corpus");
    return;
  }
  const tool = which("perl") === null ? null : join(corpus, "nzhash");
  const exceptions = readExceptions("corpus");
  const rows = readTable(join(corpus, "manifest.tsv")).filter(({ expect }) => !expect.startsWith("descriptor only"));
  if (rows.length === 0) section.fail("manifest.tsv", "has no row of a disk image");
  for (const name of exceptions.keys())
    if (!rows.some((row) => row.name === name)) section.fail(`exception ${name}`, "the manifest has no such row");
  const plain = rows.find(({ format, wrapper }) => format === "raw" && wrapper === "-");
  await section.row("content hash: both ways agree", async () => checkHash(join(corpus, "files", plain.name), tool));
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
  const source = join(corpus, "files", row.name);
  if (!existsSync(source)) {
    section.skip(row.name, "the corpus has the row but not the file");
    return;
  }
  const out = join(work, `corpus-${number}`);
  mkdirSync(out, { recursive: true });
  try {
    await section.row(row.name, async () => {
      const exception = exceptions.get(row.name);
      if (exception === undefined) return judgeRow(context, row, source, out);
      const golden = /^decode to ([0-9a-f]{64})$/.exec(exception.expect)?.[1] ?? "-";
      return judgeRow(context, { ...row, expect: exception.expect, nz_sha256: golden }, source, out);
    });
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

async function judgeRow({ spindle, tool }, row, source, out) {
  const target = join(out, "disk.raw");
  const member = memberOf(row.wrapper);
  const words = member === null ? [] : ["--member", member];
  const result = await spindle(["convert", ...words, "-O", "raw", source, target], { seconds: 120 });
  if (/^clear error naming the missing extent/.test(row.expect)) {
    const missing = missingNames(source);
    const named = missing.some((name) => result.stderr.includes(name));
    const fault = named ? "" : `the message names none of ${missing.join(", ")}: ${result.stderr.trim()}`;
    return [clearErrorFault(result, source, ...missing), leftoverFault(out), fault];
  }
  if (/^clear error|^refuse|^detect; clear|^report as encrypted/.test(row.expect))
    return refusalFaults(result, source, out, ...(member === null ? [] : [basename(member)]));
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
