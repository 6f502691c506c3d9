import { readFileSync } from "node:fs";

/** Rows of a tab-separated file with a header line, as objects. */
export function readTable(path) {
  const [head, ...lines] = readFileSync(path, "utf8").trimEnd().split("\n");
  const names = head.split("\t");
  return lines.map((line) => Object.fromEntries(line.split("\t").map((cell, i) => [names[i], cell])));
}
