import { readdirSync } from "node:fs";
import { relative, sep } from "node:path";

/** What a browser that has opened the page never asks for. */
const apart = new Set(["sw.js", "_headers"]);

/** Every file of a built page that the service worker keeps, ascending, as paths with `/` relative to `directory`. */
export function pageFiles(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      relative(directory, `${entry.parentPath ?? entry.path}${sep}${entry.name}`)
        .split(sep)
        .join("/"),
    )
    .filter((name) => !apart.has(name))
    .sort();
}
