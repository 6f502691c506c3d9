import type { ImageCard, TreeCard } from "../workers/engine-api.ts";
import { pathTo } from "./state/chains.ts";
import type { Entry } from "./state/entry.ts";

/** How layers are told apart: by colours, `owner-0` … in the stylesheet, and when these are used up by dots in them. */
const COLOURS = 8;
export const ownerColour = (owner: number): string => `owner-${owner % COLOURS}`;
export const isDotted = (owner: number): boolean => Math.floor(owner / COLOURS) % 2 === 1;

/** The same for a layer whichever point in time is chosen. */
export function ownerNumber(tree: TreeCard, id: number): number {
  return tree.layers.findIndex((layer) => layer.id === id);
}

/** Of each of the card's owners, newest first; empty for an image of one layer. */
export function ownerNumbers(entry: Entry, { owners }: ImageCard): readonly number[] {
  if (owners.length < 2) return [];
  const chain = entry.chain.value;
  const path = chain === null ? [] : pathTo(chain.tree, entry.point.value).toReversed();
  return owners.map((_, i) => {
    const layer = path[i];
    return chain === null || layer === undefined ? owners.length - 1 - i : ownerNumber(chain.tree, layer.id);
  });
}
