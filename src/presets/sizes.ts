import type { Loss } from "../core/target.ts";
import { blocker } from "./boot.ts";

export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
export const TIB = 2 ** 40;
const SECTOR = 512;

/** Sizes that are whole multiples of `step`, and at least `least`. */
export const wholeSteps =
  (step: number, least = 0) =>
  (bytes: number): number =>
    Math.ceil(Math.max(bytes, least) / step) * step;

export const wholeSectors = wholeSteps(SECTOR);

/** A size in the unit in which limits are published. */
function inWords(bytes: number): string {
  const [unit, name] = bytes >= TIB && bytes % TIB === 0 ? [TIB, "TiB"] : bytes >= GIB ? [GIB, "GiB"] : [MIB, "MiB"];
  return `${Number.parseFloat((bytes / unit).toFixed(2))} ${name}`;
}

/** `size`: what the target would be given. `limit`: the largest that it takes; `why` ends with where that comes from. */
export function tooLarge(size: number, limit: number, why: string): readonly Loss[] {
  return size <= limit ? [] : [blocker("The disk is too large", `${why}; this one would have ${inWords(size)}.`)];
}
