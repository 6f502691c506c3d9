import { realpath } from "node:fs/promises";
import { createPool, type WorkerPool } from "../blocks/pool.ts";
import type { OpenContext } from "../core/model.ts";
import type { Compute } from "../core/ports.ts";
import { openDisk } from "../jobs/chain.ts";
import type { Disk } from "../jobs/disk.ts";
import { createCompute } from "../kernels/compute.ts";
import { createHasher } from "../kernels/disk-hash.ts";
import { createKernels } from "../kernels/index.ts";
import { type FileSource, openFileSource } from "../platform/node/file-source.ts";
import { startWorkerPorts } from "../platform/node/worker-port.ts";
import { entryOf, lookBeside } from "./beside.ts";
import type { Opening } from "./opening.ts";
import { printRemark } from "./output.ts";

/** What one run of the program holds open; `end` lets go of all of it. */
export interface Session {
  readonly signal: AbortSignal;
  /** Started when first asked for. */
  readonly pool: WorkerPool;
  readonly compute: Compute;
  openFile(path: string): Promise<FileSource>;
  context(path: string, opening?: Opening): Promise<OpenContext>;
  openDisk(path: string, format: string | undefined, opening?: Opening): Promise<Disk>;
  /** Bytes that all files opened so far take on the disk. */
  allocated(): number;
  /** Tells the user of something that the result may suffer from, once; it is kept for a result in JSON. */
  warn(text: string): void;
  readonly warnings: readonly string[];
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
  const warnings: string[] = [];
  let pool: WorkerPool | null = null;

  const warn = (text: string): void => {
    if (warnings.includes(text)) return;
    warnings.push(text);
    printRemark(`warning: ${text}`);
  };

  const openFile = async (given: string): Promise<FileSource> => {
    const path = await entryOf(given);
    const known = files.get(path);
    if (known !== undefined) return known;
    const source = await openFileSource(path);
    files.set(path, source);
    return source;
  };
  const context = async (path: string, { lookIn = [], ...opening }: Opening = {}): Promise<OpenContext> => ({
    ...opening,
    ...(await lookBeside(path, lookIn, openFile, warn)),
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
    async openDisk(path, format, opening) {
      const disk = await openDisk(await openFile(path), await context(path, opening), format);
      // Parents that were found by their identity are files of this session from now on.
      for (const { origin } of disk.chain.flatMap((volume) => volume.files))
        if (typeof origin?.handle === "string") await openFile(origin.handle);
      return disk;
    },
    warn,
    warnings,
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
