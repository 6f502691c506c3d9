import { existsSync, readFileSync } from "node:fs";
import { basename, join, posix } from "node:path";
import { gzipSync } from "node:zlib";
import { pageFiles } from "./page-files.mjs";

const KB = 1000;
/** The page must show itself at once, on any line. */
const FIRST_LOAD = 60 * KB;
/** Everything, once installed: it works without a network from then on. Bytes on the disk. */
const INSTALLED = 1000 * KB;
/** What a worker's own chunk should stay under; chunks that carry a decoder are larger, and only reported. */
const WORKER = 60 * KB;

const zipped = (bytes) => gzipSync(bytes, { level: 9 }).length;
const kilobytes = (bytes) => `${(bytes / KB).toFixed(1)} kB`;

/** The files that a browser fetches before the page can show anything, and what the page carries inside itself. */
async function readPage(directory) {
  const { parseSync } = await import("vite");
  const html = readFileSync(join(directory, "index.html"), "utf8");
  const tags = html.match(/<(?:script|link|style)\b[^>]*>/g) ?? [];
  const inline = tags.filter((tag) => tag.startsWith("<style") || (tag.startsWith("<script") && !/\ssrc=/.test(tag)));
  if (/<[a-z][^>]*\s(?:style|on[a-z]+)=/i.test(html)) inline.push("a style or event attribute");
  const wanted = tags.filter((tag) => tag.startsWith("<script") || /\srel="(?:stylesheet|modulepreload)"/.test(tag));
  const addresses = wanted.map((tag) => /\s(?:src|href)="([^"]+)"/.exec(tag)?.[1]).filter(Boolean);
  const files = new Set();
  const add = (name) => {
    if (files.has(name)) return;
    files.add(name);
    if (!name.endsWith(".js")) return;
    const { module } = parseSync(name, readFileSync(join(directory, name), "utf8"));
    const requests = [...module.staticImports, ...module.staticExports.flatMap(({ entries }) => entries)].map(
      (i) => i.moduleRequest?.value,
    );
    for (const request of requests) if (request) add(posix.join(posix.dirname(name), request));
  };
  for (const address of addresses) add(posix.normalize(address));
  return { files: [...files], inline };
}

/** Measures a built page. Resolves to what is to be printed and, per budget, what is wrong with it. */
export async function measurePage(directory) {
  if (!existsSync(join(directory, "index.html")))
    return { lines: [], budgets: [{ name: "page sizes", problems: ["the page is not built"] }] };
  const sizeOf = (name) => zipped(readFileSync(join(directory, name)));
  const { files, inline } = await readPage(directory);
  const first = files.reduce((sum, name) => sum + sizeOf(name), 0);
  const all = pageFiles(directory);
  const installed = all.reduce((sum, name) => sum + readFileSync(join(directory, name)).length, 0);
  const workers = all.filter((name) => /\.worker-[^/]*\.js$/.test(name)).map((name) => ({ name: basename(name), size: sizeOf(name) }));
  const over = (size, limit) => (size > limit ? [`${kilobytes(size)}, over ${kilobytes(limit)}`] : []);
  return {
    lines: [
      `first load (gzip): ${kilobytes(first)} of ${kilobytes(FIRST_LOAD)}: ${files.join(", ")}`,
      `installed: ${kilobytes(installed)} of ${kilobytes(INSTALLED)} in ${all.length} files`,
      ...workers.map(({ name, size }) => `worker ${name} (gzip): ${kilobytes(size)}${size > WORKER ? ` (aim: ${kilobytes(WORKER)})` : ""}`),
    ],
    budgets: [
      { name: "first load", problems: files.length === 0 ? ["index.html names no script"] : over(first, FIRST_LOAD) },
      { name: "installed size", problems: over(installed, INSTALLED) },
      { name: "nothing inline in index.html", problems: inline },
    ],
  };
}
