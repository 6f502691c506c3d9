import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { headersFor } from "./lock-headers.mjs";

const types = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
  ".webp": "image/webp",
  ".woff2": "font/woff2",
};

/** The file that a request's path means, or null when the path leads out of `directory` or cannot be a path. */
export function fileFor(directory, url) {
  let path;
  try {
    path = decodeURIComponent(url.split(/[?#]/, 1)[0]);
  } catch {
    return null;
  }
  if (!path.startsWith("/") || path.includes("\0") || path.includes("\\")) return null;
  const base = resolve(directory);
  const file = resolve(join(base, path.endsWith("/") ? `${path}index.html` : path));
  return file.startsWith(base + sep) ? file : null;
}

/** Serves the files of `directory`, with the lock headers on every response. Nothing is cached without asking again. */
export function staticServer(directory) {
  return createServer(async (request, response) => {
    const file = fileFor(directory, request.url ?? "/");
    const lock = headersFor(file === null ? "" : relative(directory, file));
    const answer = (status, headers, body) => {
      response.writeHead(status, { ...lock, "Cache-Control": "no-cache", ...headers });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    const plain = (status, text, headers = {}) => answer(status, { "Content-Type": "text/plain; charset=utf-8", ...headers }, text);
    if (request.method !== "GET" && request.method !== "HEAD") return plain(405, "Only GET and HEAD.\n", { Allow: "GET, HEAD" });
    const bytes = file && (await readFile(file).catch(() => null));
    if (!bytes) return plain(404, "Not found.\n");
    const tag = `"${createHash("sha256").update(bytes).digest("base64url")}"`;
    if (request.headers["if-none-match"] === tag) return answer(304, { ETag: tag });
    const type = types[extname(file)] ?? "application/octet-stream";
    answer(200, { "Content-Type": type, "Content-Length": bytes.length, ETag: tag }, bytes);
  });
}

/** Listens on this machine only, at `port` or, when it is taken, at one of the next `others`. Resolves to the port. */
export function listen(server, port, others = 0) {
  return new Promise((done, fail) => {
    server.once("error", (error) => {
      if (error.code === "EADDRINUSE" && others > 0) listen(server, port + 1, others - 1).then(done, fail);
      else fail(error);
    });
    server.listen(port, "127.0.0.1", () => {
      server.removeAllListeners("error");
      done(server.address().port);
    });
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [directory, port] = process.argv.slice(2);
  console.log(`http://127.0.0.1:${await listen(staticServer(directory), Number(port))}/`);
}
