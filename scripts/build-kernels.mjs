/**
 * assembly/*.ts → build/kernels.wasm, and as a module build/kernels.js; each folder assembly/NAME/ → build/NAME.js.
 * The modules carry the bytes as base64 text: a plain import works in Node, in a bundle and in a worker
 * under `connect-src 'none'`, where nothing may be fetched. Does nothing when the inputs are unchanged.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const assembly = join(root, "assembly");
const build = join(root, "build");

/** 1 MiB holds the static data with room to spare; the real size is set by the memory that src/kernels passes in. */
const flags = [
  "-O3",
  "--converge",
  "--noAssert",
  ...["--enable", "simd"],
  ...["--runtime", "stub"],
  "--importMemory",
  "--zeroFilledMemory",
  "--noExportMemory",
  ...["--initialMemory", "16"],
];

async function inputsHash() {
  const hash = createHash("sha256");
  const names = (await readdir(assembly, { recursive: true })).filter((name) => name.endsWith(".ts")).sort();
  for (const path of [...names.map((name) => join(assembly, name)), fileURLToPath(import.meta.url)])
    hash.update(`${relative(root, path)}\0`).update(await readFile(path));
  return hash.update(asc.version).digest("hex");
}

/** Whole or not at all: several processes may build at once. */
async function writeWhole(name, content) {
  const temporary = join(build, `${name}.${process.pid}.tmp`);
  await writeFile(temporary, content);
  await rename(temporary, join(build, name));
}

async function writeModule(name, constant, bytes) {
  await writeWhole(`${name}.js`, `export const ${constant} =\n  "${Buffer.from(bytes).toString("base64")}";\n`);
  await writeWhole(`${name}.d.ts`, `export declare const ${constant}: string;\n`);
}

async function compile(entry) {
  const output = new Map();
  const { error, stderr } = await asc.main([entry, "--baseDir", root, "--outFile", "kernels.wasm", ...flags], {
    writeFile: (name, content) => void output.set(name, content),
  });
  if (error) throw new Error(`asc failed on ${entry}: ${error.message}\n${stderr.toString()}`);
  return output.get("kernels.wasm");
}

const hash = await inputsHash();
const built = await readFile(join(build, "kernels.hash"), "utf8").catch(() => "");
if (built !== hash) {
  await mkdir(build, { recursive: true });
  const kernels = await compile("assembly/index.ts");
  const folders = (await readdir(assembly, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  for (const { name } of folders)
    await writeModule(name, `${name.toUpperCase().replaceAll("-", "_")}_BASE64`, await compile(`assembly/${name}/index.ts`));
  await writeWhole("kernels.wasm", kernels);
  await writeModule("kernels", "KERNELS_BASE64", kernels);
  await writeWhole("kernels.hash", hash);
  console.log(`build/kernels.wasm: ${kernels.length} bytes`);
}
