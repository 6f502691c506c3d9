import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Rows of a tab-separated file with a header line, as objects. */
export function readTable(path) {
  const [head, ...lines] = readFileSync(path, "utf8").trimEnd().split("\n");
  const names = head.split("\t");
  return lines.map((line) => Object.fromEntries(line.split("\t").map((cell, i) => [names[i], cell])));
}

/** Rows of a section whose recorded expectation is wrong, by name, with the right one in `expect` and the reason in `why`. */
export const readExceptions = (section) =>
  new Map(
    readTable(join(import.meta.dirname, "exceptions.tsv"))
      .filter((row) => row.section === section)
      .map((row) => [row.name, row]),
  );
