import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { headersFile, headersFor } from "./lock-headers.mjs";
import { fileFor, listen, staticServer } from "./static-server.mjs";

const folder = mkdtempSync(join(tmpdir(), "spindle-server-"));
const page = join(folder, "page");
const server = staticServer(page);
let port = 0;

beforeAll(async () => {
  mkdirSync(join(page, "assets"), { recursive: true });
  for (const [name, text] of [
    ["secret.txt", "secret"],
    ["page/index.html", "<p>page"],
    ["page/sw.js", "worker"],
    ["page/assets/kernels.wasm", "wasm"],
    ["page/app.webmanifest", "{}"],
  ])
    writeFileSync(join(folder, name), text);
  port = await listen(server, 0);
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

/** Not `fetch`, which would clean the path before it sends it. */
const ask = (path, { method = "GET", headers = {} } = {}) =>
  new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, method, headers }, async (response) => {
      const chunks = await response.toArray();
      resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() });
    });
    asked.on("error", reject).end();
  });

test("types, and the lock on every answer", async () => {
  const types = {
    "/": "text/html",
    "/sw.js": "text/javascript",
    "/assets/kernels.wasm": "application/wasm",
    "/app.webmanifest": "application/manifest",
  };
  for (const [path, type] of Object.entries(types)) {
    const { status, headers } = await ask(path);
    expect([path, status, headers["content-type"].startsWith(type)]).toEqual([path, 200, true]);
  }
  for (const [path, options] of [["/"], ["/none"], ["/", { method: "POST" }]]) {
    const { headers } = await ask(path, options);
    for (const [name, value] of Object.entries(headersFor("index.html"))) expect(headers[name.toLowerCase()]).toBe(value);
  }
});

test("only the service worker may fetch, and only from where it came", async () => {
  expect((await ask("/sw.js")).headers["content-security-policy"]).toContain("connect-src 'self'");
  for (const path of ["/", "/index.html", "/assets/sw.js", "/assets/../sw.js/", "/none"])
    expect((await ask(path)).headers["content-security-policy"]).toContain("connect-src 'none'");
});

test("nothing outside of the folder", async () => {
  const paths = [
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/..%2fsecret.txt",
    "/assets/../../secret.txt",
    "/..\\secret.txt",
    "/%00",
    "/%",
    "//etc/passwd",
  ];
  for (const path of paths) expect([path, (await ask(path)).status]).toEqual([path, 404]);
  expect(fileFor(page, "/../page-of-another/index.html")).toBe(null);
});

test("HEAD, other methods, and what has not changed", async () => {
  const whole = await ask("/");
  const head = await ask("/", { method: "HEAD" });
  expect([head.status, head.text, head.headers["content-length"]]).toEqual([200, "", String(whole.text.length)]);
  expect((await ask("/", { method: "PUT" })).status).toBe(405);
  expect((await ask("/", { headers: { "if-none-match": whole.headers.etag } })).status).toBe(304);
});

test("a taken port leads to the next one", async () => {
  const other = staticServer(page);
  const found = await listen(other, port, 5);
  other.close();
  expect(found).toBeGreaterThan(port);
  await expect(listen(staticServer(page), port)).rejects.toThrow("EADDRINUSE");
});

test("_headers: no address gets two policies", () => {
  const text = headersFile(["index.html", "assets/a.js", "assets/b.css", "icons/c.svg"]);
  const places = text.split("\n").filter((line) => line.startsWith("/"));
  expect(places).toEqual(["/", "/index.html", "/assets/*", "/icons/*", "/sw.js"]);
  expect(text.match(/connect-src 'self'/g)).toHaveLength(1);
});
