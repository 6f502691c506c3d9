import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DiskError } from "../core/errors.ts";
import { plainName } from "../core/file-name.ts";
import type { ByteSource, OpenContext } from "../core/model.ts";
import { type FileSource, openFileSource, reasonOf } from "../platform/node/file-source.ts";

/** Files that stand for the bundle (a folder) that they lie in. */
const BUNDLE_ENTRIES = ["Info.plist", "DiskDescriptor.xml"];

/** The path itself, or the file that stands for it when it is a bundle: Apple's and Parallels' disks can be folders. */
export async function entryOf(path: string): Promise<string> {
  if (!(await isFolder(path))) return path;
  const names: readonly string[] = await readdir(path).catch(() => []);
  const entry = BUNDLE_ENTRIES.find((name) => names.includes(name));
  return entry === undefined ? path : join(path, entry);
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path)
    .then((facts) => facts.isDirectory())
    .catch(() => false);

/** A file in a folder beside the image, as bundles name their parts: `bands/1f`. */
const IN_FOLDER = /^\w[\w .-]*\/\w[\w .-]*$/;
/** More files than this in the folders at hand are not opened to look for a parent. */
const MOST_CANDIDATES = 10_000;

/**
 * Where the files that an image names are looked for: beside it, then in the folders that the user names (first in the one among them
 * that the image states), by their plain names (or, as bundles name their parts, in a folder beside it). Other paths, URLs and protocol
 * prefixes inside an image never reach the file system, and neither does a link that leads out of its folder.
 */
export async function lookBeside(
  path: string,
  lookIn: readonly string[],
  openFile: (path: string) => Promise<FileSource>,
  warn: (text: string) => void,
): Promise<Required<Pick<OpenContext, "resolve" | "candidates">>> {
  const own = dirname(await entryOf(path));
  for (const folder of lookIn) if (!(await isFolder(folder))) throw new DiskError("usage", `--look-in ${folder}: there is no such folder`);
  const folders = [own, ...lookIn];

  const byName = async (folder: string, name: string): Promise<FileSource | null> => {
    const real = await realpath(join(folder, name)).catch(() => null);
    if (real === null) return null;
    if (dirname(real) === (await realpath(folder))) return openFile(join(folder, name));
    throw new DiskError("missing-file", `${basename(path)} names “${name}”, which is a link out of its folder: give the real file`, {
      needs: name,
    });
  };
  return {
    async resolve(reference) {
      const inFolder = IN_FOLDER.test(reference.name) ? await realpath(join(own, reference.name)).catch(() => null) : null;
      if (inFolder !== null && inFolder === join(await realpath(own), reference.name)) return openFile(join(own, reference.name));
      const name = plainName(reference.name);
      if (name === "") return null;
      for (const folder of await meantFirst(folders, own, dirname(reference.name))) {
        const found = await byName(folder, name);
        if (found === null) continue;
        if (name !== reference.name.replace(/^\.[/\\]/, ""))
          warn(`${basename(path)} names “${reference.name}”; “${name}” in ${folder} is used`);
        return found;
      }
      return null;
    },
    async candidates() {
      const sources: ByteSource[] = [];
      for (const folder of folders) {
        const inside = await realpath(folder);
        const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
          warn(`${folder} cannot be looked in: ${reasonOf(cause)}`);
          return [];
        });
        for (const name of names.sort()) {
          const file = join(folder, name);
          if (sources.length === MOST_CANDIDATES || dirname(await realpath(file).catch(() => "")) !== inside) continue;
          const facts = await stat(file).catch(() => null);
          if (facts?.isFile() === true) sources.push(lazySource(file, facts.size));
        }
      }
      return sources;
    },
  };
}

/** The folders, before the others those that the image states, which lies in `own`. What it states is compared, never looked up. */
async function meantFirst(folders: readonly string[], own: string, stated: string): Promise<readonly string[]> {
  const wanted = [resolve(own, stated), resolve(await realpath(own), stated)];
  const meant: string[] = [];
  for (const folder of folders) if (wanted.includes(resolve(folder)) || wanted.includes(await realpath(folder))) meant.push(folder);
  return [...meant, ...folders.filter((folder) => !meant.includes(folder))];
}

/** A file that is opened for each read alone: of many that are looked at, few are used. */
function lazySource(path: string, size: number): ByteSource {
  return {
    name: basename(path),
    size,
    origin: { handle: path, at: 0 },
    async read(at, length, signal) {
      const source = await openFileSource(path);
      try {
        return await source.read(at, length, signal);
      } finally {
        await source.close();
      }
    },
  };
}
