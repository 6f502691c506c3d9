import { readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { parseSync, Visitor } from "vite";
import { describe, expect, test } from "vitest";

/** A part of its own: it alone imports the formats, and everything above sees them through it. */
const REGISTRY = "formats/registry.ts";

/**
 * The layer rule: which parts of src/ a part may import, besides itself. Imports go down only.
 * A part is a folder of src/ (of platform/, where the platforms must not mix), a file in src/ itself, or the registry.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  kernels: ["core"],
  archives: ["core"],
  ciphers: ["core"],
  formats: ["core", "archives", "ciphers"],
  // It tells a bare disk from a damaged image by what lies on it.
  [REGISTRY]: ["core", "formats", "partitions", "filesystems"],
  partitions: ["core"],
  filesystems: ["core"],
  blocks: ["core", "kernels"],
  chains: ["core", REGISTRY],
  presets: ["core"],
  jobs: ["core", REGISTRY, "chains", "partitions", "filesystems", "presets"],
  "platform/browser": ["core", "kernels", "blocks"],
  "platform/node": ["core", "kernels", "blocks"],
  "platform/window": ["core", "workers"],
  workers: ["core", "kernels", "blocks", REGISTRY, "partitions", "filesystems", "chains", "presets", "jobs", "platform/browser"],
  cli: ["core", "kernels", "blocks", REGISTRY, "partitions", "filesystems", "chains", "presets", "jobs", "platform/node"],
  ui: ["core", "workers", "platform/window"],
  "main.tsx": ["ui", "workers", "platform/window"],
  "sw.ts": [],
};
/** The parts that run in Node and nowhere else. */
const NODE = ["cli", "platform/node"];
/** Parts whose files are all of use outside; everywhere else a folder with an index.ts is entered only there. */
const OPEN = ["core", "archives", "ciphers", "kernels"];
/** The only files of a part that a part above may import. */
const DOORS: Readonly<Record<string, { readonly from: readonly string[]; readonly files: readonly string[] }>> = {
  workers: { from: ["ui", "main.tsx", "platform/window"], files: ["workers/client.ts", "workers/engine-api.ts"] },
};
const PACKAGES: Readonly<Record<string, (file: string) => boolean>> = {
  comlink: (file) => file === "workers/rpc.ts",
  preact: (file) => partOf(file) === "ui" || file === "main.tsx",
  "@preact/signals": (file) => partOf(file) === "ui" || file === "main.tsx",
};

/** Stands for a module name that is put together at run time. */
const COMPUTED = "(computed)";

/** Path in src/ → source text. */
type Sources = ReadonlyMap<string, string>;

const isTest = (file: string): boolean => file.startsWith("testing/") || /\.test\.tsx?$/.test(file);
const isOutside = (path: string): boolean => path.startsWith("../");

function partOf(file: string): string {
  if (file === REGISTRY) return file;
  const [first = "", second = ""] = file.split("/");
  return first === "platform" ? `platform/${second}` : first;
}

/** The row of a table of siblings that a file belongs to: `formats/vdi`; null for files beside the rows and elsewhere. */
function rowOf(file: string): string | null {
  const [part = "", row = "", inner] = file.split("/");
  return inner !== undefined && ["formats", "partitions", "filesystems"].includes(part) ? `${part}/${row}` : null;
}

/** Every module that a source names: imports, re-exports, dynamic and type imports, workers by `new URL(…, import.meta.url)`. */
function importsOf(file: string, source: string): string[] {
  const { program, module, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  const found = [...module.staticImports, ...module.staticExports.flatMap(({ entries }) => entries)].flatMap(
    ({ moduleRequest }) => moduleRequest?.value ?? [],
  );
  const text = (node: { type: string } | undefined): string | null =>
    node?.type === "Literal" && "value" in node && typeof node.value === "string" ? node.value : null;
  const add = (node: { type: string } | undefined): void => void found.push(text(node) ?? COMPUTED);
  new Visitor({
    ImportExpression: (node) => add(node.source),
    TSImportType: (node) => add(node.source),
    NewExpression: (node) => {
      const [first, second] = node.arguments;
      const isUrl = node.callee.type === "Identifier" && node.callee.name === "URL";
      const name = text(first);
      if (isUrl && name?.startsWith(".") && second?.type === "MemberExpression" && second.object.type === "MetaProperty") found.push(name);
    },
  }).visit(program);
  return found;
}

/** The packages of a bare import: `preact/hooks` belongs to `preact`. */
const packageOf = (name: string): string =>
  name
    .split("/")
    .slice(0, name.startsWith("@") ? 2 : 1)
    .join("/");

function packageFault(file: string, name: string): string | null {
  if (name === COMPUTED) return "a computed import cannot be checked";
  if (name.startsWith("node:")) return NODE.includes(partOf(file)) ? null : `${name} exists in Node only`;
  const allowed = PACKAGES[packageOf(name)];
  if (allowed !== undefined) return allowed(file) ? null : `${name} is not for this file`;
  return partOf(file) === "core" ? "core imports nothing outside itself" : null;
}

function layerFault(file: string, target: string, sources: Sources): string | null {
  const from = partOf(file);
  const to = partOf(target);
  if (isOutside(target))
    return from === "kernels" && target.startsWith("../build/") ? null : "only kernels import from outside src, and only from build/";
  if (isTest(target)) return "only tests import test code";
  const allowed = LAYERS[from];
  if (allowed === undefined) return `${from} has no place in the layer table`;
  if (from !== to && !allowed.includes(to)) return `${from} may not import ${to}`;
  const row = rowOf(target);
  if (row !== null && row !== rowOf(file) && from === to) return "siblings never import each other";
  const door = DOORS[to];
  if (door?.from.includes(from) && !door.files.includes(target)) return `${from} reaches ${to} only through ${door.files.join(" and ")}`;
  return OPEN.includes(to) ? null : indexFault(file, target, sources);
}

/** A folder with an index.ts is entered only there by files that lie outside of it. */
function indexFault(file: string, target: string, sources: Sources): string | null {
  for (let folder = posix.dirname(target); folder !== "."; folder = posix.dirname(folder)) {
    const isInside = file.startsWith(`${folder}/`);
    const index = `${folder}/index.ts`;
    if (!isInside && sources.has(index) && target !== index) return `${folder} is entered through its index.ts`;
  }
  return null;
}

/** Every violation of the layer rule, as `file → import: why`. */
function layerFaults(sources: Sources): string[] {
  const faults: string[] = [];
  for (const [file, source] of sources) {
    if (isTest(file)) continue;
    for (const name of importsOf(file, source)) {
      const target = name.startsWith(".") ? posix.normalize(posix.join(posix.dirname(file), name)) : null;
      const fault = target === null ? packageFault(file, name) : layerFault(file, target, sources);
      if (fault !== null) faults.push(`${file} → ${name}: ${fault}`);
    }
  }
  return faults;
}

function readSources(): Sources {
  const folder = import.meta.dirname;
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (name) => /\.tsx?$/.test(name) && !name.endsWith(".d.ts"),
  );
  return new Map(names.map((name) => [name.split(sep).join("/"), readFileSync(join(folder, name), "utf8")]));
}

describe("the layer rule", () => {
  test("holds in src", () => {
    const sources = readSources();
    expect(sources.size).toBeGreaterThan(20);
    expect(layerFaults(sources)).toEqual([]);
  });

  const violations: readonly (readonly [string, string, string])[] = [
    ["core/model.ts", `import { f } from "../kernels/index.ts";`, "core may not import kernels"],
    ["core/model.ts", `import type { F } from "../ui/entry.ts";`, "core may not import ui"],
    ["core/model.ts", `import { get } from "idb-keyval";`, "core imports nothing outside itself"],
    ["formats/vdi/reader.ts", `export * from "../qcow2/index.ts";`, "siblings never import each other"],
    ["formats/vdi/reader.ts", `import { openImage } from "../../jobs/chain.ts";`, "formats may not import jobs"],
    ["formats/vdi/reader.ts", `const fs = await import("node:fs");`, "node:fs exists in Node only"],
    ["formats/vdi/reader.ts", `import { formats } from "../registry.ts";`, "formats may not import formats/registry.ts"],
    ["formats/vdi/reader.ts", `import { mbr } from "../../partitions/mbr/index.ts";`, "formats may not import partitions"],
    ["partitions/gpt/index.ts", `import { mbr } from "../mbr/index.ts";`, "siblings never import each other"],
    ["jobs/chain.ts", `import { vdi } from "../formats/vdi/index.ts";`, "jobs may not import formats"],
    ["jobs/chain.ts", `import { k } from "../kernels/index.ts";`, "jobs may not import kernels"],
    ["jobs/chain.ts", `import { p } from "../blocks/pool.ts";`, "jobs may not import blocks"],
    ["formats/registry.ts", `import { r } from "./vdi/reader.ts";`, "formats/vdi is entered through its index.ts"],
    ["kernels/index.ts", `import x from "../../package.json";`, "only kernels import from outside src"],
    ["ui/screen.tsx", `import { wrap } from "comlink";`, "comlink is not for this file"],
    ["ui/screen.tsx", `import { e } from "../workers/engine.ts";`, "ui reaches workers only through"],
    ["ui/screen.tsx", `new Worker(new URL("../workers/engine.worker.ts", import.meta.url));`, "ui reaches workers only through"],
    ["ui/screen.tsx", `let x: import("../jobs/plan.ts").Plan;`, "ui may not import jobs"],
    ["ui/screen.tsx", `import { s } from "../platform/browser/private-store.ts";`, "ui may not import platform/browser"],
    ["workers/engine.ts", `import { h } from "preact/hooks";`, "preact/hooks is not for this file"],
    ["workers/engine.ts", `import { s } from "../platform/node/file-source.ts";`, "workers may not import platform/node"],
    ["platform/node/port.ts", `import { judge } from "../../testing/judges.ts";`, "only tests import test code"],
    ["cli/main.ts", `import { bytes } from "../ui/quantities.ts";`, "cli may not import ui"],
    ["cli/main.ts", `await import(name);`, "a computed import cannot be checked"],
    ["sw.ts", `import { f } from "./core/errors.ts";`, "sw.ts may not import core"],
    ["novelty/index.ts", `import { f } from "../core/errors.ts";`, "novelty has no place in the layer table"],
  ];
  const surroundings = ["formats/vdi/index.ts", "formats/qcow2/index.ts", "partitions/mbr/index.ts"].map((name) => [name, ""] as const);

  test.each(violations)("is broken by %s with %s", (file, source, reason) => {
    const faults = layerFaults(new Map([...surroundings, [file, source]]));
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(reason);
  });

  const lawful: readonly (readonly [string, string])[] = [
    ["formats/registry.ts", `import { vdi } from "./vdi/index.ts"; import type { Format } from "../core/model.ts";`],
    ["formats/vdi/reader.ts", `import { spec } from "./spec.ts";`],
    ["jobs/chain.ts", `import { openImage } from "../formats/registry.ts";`],
    ["blocks/processor.ts", `import { c } from "../kernels/codecs.ts";`],
    ["kernels/index.ts", `import { KERNELS_BASE64 } from "../../build/kernels.js";`],
    ["ui/screen.tsx", `import { signal } from "@preact/signals"; import { startEngine } from "../workers/client.ts"; // import "comlink"`],
    ["workers/rpc.ts", `import { wrap } from "comlink";`],
    ["cli/main.ts", `import { open } from "node:fs/promises"; import { s } from "../platform/node/file-source.ts";`],
    ["formats/vdi/vdi.test.ts", `import { readFile } from "node:fs/promises"; import { q } from "../qcow2/index.ts";`],
  ];
  test.each(lawful)("allows %s with %s", (file, source) => {
    expect(layerFaults(new Map([...surroundings, [file, source]]))).toEqual([]);
  });
});
