import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { createPool, type WorkerPool } from "../blocks/pool.ts";
import { DiskError } from "../core/errors.ts";
import { plainName } from "../core/file-name.ts";
import type { FileReference, OpenContext, ResolveFile } from "../core/model.ts";
import type { Compute } from "../core/ports.ts";
import { findIdentity, isNameless, missingIdentity } from "../formats/registry.ts";
import { openDisk } from "../jobs/chain.ts";
import type { Disk } from "../jobs/disk.ts";
import { createCompute } from "../kernels/compute.ts";
import { createHasher } from "../kernels/disk-hash.ts";
import { createKernels } from "../kernels/index.ts";
import { type FileSource, openFileSource } from "../platform/node/file-source.ts";
import { startWorkerPorts } from "../platform/node/worker-port.ts";
import type { Opening } from "./opening.ts";
import { printRemark } from "./output.ts";

/** What one run of the program holds open; `end` lets go of all of it. */
export interface Session {
  readonly signal: AbortSignal;
  /** Started when first asked for. */
  readonly pool: WorkerPool;
  readonly compute: Compute;
  openFile(path: string): Promise<FileSource>;
  context(path: string, opening?: Opening): OpenContext;
  openDisk(path: string, format: string | undefined, opening?: Opening): Promise<Disk>;
  /** Bytes that all files opened so far take on the disk. */
  allocated(): number;
  /** Real paths of all files opened so far. */
  openedPaths(): Promise<readonly string[]>;
  /** Throws `io` when a file that was read has changed since it was opened. */
  checkUnchanged(): Promise<void>;
  end(): Promise<void>;
}

export function createSession(signal: AbortSignal): Session {
  const kernels = createKernels();
  const compute = createCompute(kernels);
  const files = new Map<string, FileSource>();
  let pool: WorkerPool | null = null;

  const openFile = async (given: string): Promise<FileSource> => {
    const path = await entryOf(given);
    const known = files.get(path);
    if (known !== undefined) return known;
    const source = await openFileSource(path);
    files.set(path, source);
    return source;
  };
  const context = (path: string, opening: Opening = {}): OpenContext => ({
    ...opening,
    resolve: resolverBeside(path, openFile, compute),
    compute,
    signal,
  });
  return {
    signal,
    get pool() {
      pool ??= createPool(startWorkerPorts(new URL("./block-worker.js", import.meta.url)), createHasher(kernels));
      return pool;
    },
    compute,
    openFile,
    context,
    openDisk: async (path, format, opening) => openDisk(await openFile(path), context(path, opening), format),
    allocated: () => [...files.values()].reduce((sum, source) => sum + source.allocated, 0),
    openedPaths: () => Promise.all([...files.keys()].map((path) => realpath(path))),
    async checkUnchanged() {
      for (const source of files.values()) await source.checkUnchanged();
    },
    async end() {
      pool?.end();
      for (const source of files.values()) await source.close();
    },
  };
}

/** Files that stand for the bundle (a folder) that they lie in. */
const BUNDLE_ENTRIES = ["Info.plist", "DiskDescriptor.xml"];

/** The path itself, or the file that stands for it when it is a bundle: Apple's and Parallels' disks can be folders. */
async function entryOf(path: string): Promise<string> {
  if (
    !(await stat(path)
      .then((facts) => facts.isDirectory())
      .catch(() => false))
  )
    return path;
  const names: readonly string[] = await readdir(path).catch(() => []);
  const entry = BUNDLE_ENTRIES.find((name) => names.includes(name));
  return entry === undefined ? path : join(path, entry);
}

/** The path of the VDI in `folder` that has the identity of a parent without a name. */
async function findBeside(path: string, folder: string, reference: FileReference, compute: Compute): Promise<string> {
  const inside = await realpath(folder);
  async function* candidates(): AsyncGenerator<FileSource & { readonly path: string }> {
    for (const name of (await readdir(folder)).filter((one) => /\.vdi$/i.test(one)).sort()) {
      const file = join(folder, name);
      if (dirname(await realpath(file).catch(() => "")) !== inside) continue;
      const source = await openFileSource(file).catch(() => null); // not one that can be read, so not one that can be a parent
      if (source === null) continue;
      try {
        yield { ...source, path: file };
      } finally {
        await source.close();
      }
    }
  }
  const found = await findIdentity(candidates(), reference, compute);
  if (found === null) throw missingIdentity(basename(path), reference, "does not lie beside it");
  return found.path;
}

/** A file in a folder beside the image, as bundles name their parts: `bands/1f`. */
const IN_FOLDER = /^\w[\w .-]*\/\w[\w .-]*$/;

/**
 * Files that an image names are looked for beside it, by their plain names (or, as bundles name their parts, in a folder beside it):
 * other paths, URLs and protocol prefixes inside an image never reach the file system, and neither does a link that leads out of
 * the folder.
 */
function resolverBeside(path: string, openFile: (path: string) => Promise<FileSource>, compute: Compute): ResolveFile {
  return async (reference) => {
    const folder = dirname(await entryOf(path));
    const inFolder = IN_FOLDER.test(reference.name) ? await realpath(join(folder, reference.name)).catch(() => null) : null;
    if (inFolder !== null && inFolder === join(await realpath(folder), reference.name)) return openFile(join(folder, reference.name));
    const name = plainName(reference.name);
    if (name === "") return null;
    const beside = join(folder, name);
    const real = await realpath(beside).catch(() => null);
    if (real === null && isNameless(reference)) return openFile(await findBeside(path, folder, reference, compute));
    if (real === null) return null;
    if (dirname(real) !== (await realpath(folder)))
      throw new DiskError("missing-file", `${basename(path)} names “${name}”, which is a link out of its folder: give the real file`, {
        needs: name,
      });
    if (name !== reference.name) printRemark(`warning: ${basename(path)} names “${reference.name}”; “${name}” beside it is used`);
    return openFile(beside);
  };
}
