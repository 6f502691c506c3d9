/** What a run of the program has to look like. Each function resolves to what is wrong, "" when nothing is. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { ending, oneLine } from "./programs.mjs";

/** Lines of stderr that are no error: what the program remarks on the way. */
const REMARK = /^spindle: (note|warning): /;

export const remarksOf = ({ stderr }) => stderr.split("\n").filter((line) => REMARK.test(line));

/** A failed run must end by itself and say in one line what is wrong with which file (the source, one beside it, or one of `others`). */
export function clearErrorFault(result, source, ...others) {
  if (result.late || result.signal !== null) return `ended by ${ending(result)}`;
  if (result.code === 0) return "exit code 0, an error was expected";
  const lines = result.stderr.split("\n").filter((line) => line !== "" && !REMARK.test(line));
  if (lines.length !== 1) return `${lines.length} error lines: ${oneLine(result.stderr)}`;
  const [line] = lines;
  if (!line.startsWith("spindle: ")) return `not an error of the program: ${line}`;
  if (/\b(Type|Range|Reference|Syntax)Error\b|\bat \S+ \(|:\d+:\d+\b|\bNaN\b|\bundefined\b|\[object/.test(line))
    return `not a message for people: ${line.slice(0, 300)}`;
  const besides = readdirSync(dirname(source), { withFileTypes: true }).filter((entry) => entry.isFile());
  const names = [basename(source), unwrapped(basename(source)), ...others, ...besides.map((entry) => entry.name)];
  if (!names.some((name) => line.includes(name)) && !namesMember(line, source)) return `the message names no file: ${line}`;
  return "";
}

/** What a packed file is called when it is unpacked, which is what the message is about. */
const unwrapped = (name) => name.replace(/(\.(gz|xz|bz2|zst|lz4|zip))+$/i, "");

/** An archive has the names of its members in it as they are; the message is about one of them. */
function namesMember(line, source) {
  if (!/\.(ova|zip|tar|xva)$/i.test(source)) return false;
  const archive = readFileSync(source, "latin1");
  return (line.match(/[\w-]+\.\w+/g) ?? []).some((name) => archive.includes(name));
}

/** Nothing of the output may be left, under any name. */
export function leftoverFault(folder) {
  const left = readdirSync(folder);
  return left.length === 0 ? "" : `left behind: ${left.join(", ")}`;
}

export const successFault = (result) => (result.code === 0 ? "" : `${ending(result)}: ${oneLine(result.stderr)}`);

/** A refusal is a clear error that leaves nothing. */
export const refusalFaults = (result, source, folder, ...others) =>
  [clearErrorFault(result, source, ...others), leftoverFault(folder)].filter((fault) => fault !== "");
