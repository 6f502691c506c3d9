import type { GivenFile } from "../../platform/window/given-file.ts";
import type { ChainProblem, FoundCard, LayerCard, TreeCard } from "../../workers/engine-api.ts";
import { engine, nextJobNumber } from "./engine.ts";
import type { ChainState, Entry } from "./entry.ts";

/** Puts the images among some files in order. */
export function findImages(files: readonly GivenFile[]): Promise<FoundCard> {
  return engine().find(
    nextJobNumber(),
    files.map(({ file, path }) => ({ file, path: path ?? file.name })),
  );
}

/** The same; where a parent is missing it may be among `open`, the files of other cards, which then come behind the fresh ones. */
export async function findWithOpen(
  fresh: readonly GivenFile[],
  open: readonly GivenFile[],
): Promise<{ readonly files: readonly GivenFile[]; readonly found: FoundCard }> {
  const found = await findImages(fresh);
  const lacks = found.trees.some(({ layers }) => layers.some(({ problems }) => problems.some(({ kind }) => kind === "missing")));
  if (!lacks || open.length === 0) return { files: fresh, found };
  void engine().forget(found.search);
  const files = [...fresh, ...open];
  return { files, found: await findImages(files) };
}

/** From the base to the layer with this id; the whole of a ring. */
export function pathTo(tree: TreeCard, id: number): readonly LayerCard[] {
  const path: LayerCard[] = [];
  let at: number | null = id;
  while (at !== null) {
    const layer: LayerCard | undefined = tree.layers.find((one) => one.id === at);
    if (layer === undefined || path.includes(layer)) break;
    path.unshift(layer);
    at = layer.parent;
  }
  return path;
}

/** What keeps the card's point in time from being read: faults of the chain, and changed parents that were not accepted. */
export function hindrances(entry: Entry): readonly ChainProblem[] {
  const chain = entry.chain.value;
  if (chain === null) return [];
  const own = pathTo(chain.tree, entry.point.value).flatMap(({ problems }) => problems);
  const stops = [...own, ...chain.tree.problems].filter(({ severity }) => severity === "stop");
  const accepted = entry.acceptChanged.value;
  return [...stops, ...own.filter(({ severity }) => severity === "confirm" && !accepted)];
}

/** What else is to be known of the layers that the card's disk is made of. */
export function chainNotes(entry: Entry): readonly string[] {
  const chain = entry.chain.value;
  if (chain === null) return [];
  const all = [...pathTo(chain.tree, entry.point.value).flatMap(({ problems }) => problems), ...chain.tree.problems];
  return [...new Set(all.filter(({ severity }) => severity === "note").map(({ message }) => `${message}.`))];
}

/** The last part of the name that is asked for; undefined: nothing is. */
export function neededBy({ needs }: Pick<ChainProblem, "needs">): string | undefined {
  return needs?.split(/[\\/]/).at(-1);
}

/** The UUID by which a missing parent is known, where its name is made up from it. */
export function namelessNeed({ needs, id }: Pick<ChainProblem, "needs" | "id">): string | null {
  return id !== undefined && needs?.startsWith(`{${id}}.`) === true ? id : null;
}

/** The layer's file as it was given. */
export function fileOf({ files }: ChainState, layer: Pick<LayerCard, "file">): GivenFile {
  return files[layer.file] as GivenFile;
}

/** Files that a card of a chain shows, and which need no cards of their own. */
export function filesOf({ files, tree }: ChainState): ReadonlySet<File> {
  return new Set(tree.layers.map(({ file }) => (files[file] as GivenFile).file));
}

/** The same files and those of `more` that are not among them. */
export function withFiles(files: readonly GivenFile[], more: readonly GivenFile[]): readonly GivenFile[] {
  const key = ({ file, path }: GivenFile): string => `${path ?? file.name}|${file.size}|${file.lastModified}`;
  const known = new Set(files.map(key));
  return [...files, ...more.filter((one) => !known.has(key(one)))];
}
