import { firstAbove } from "../../core/sorted.ts";
import type { Header, Place } from "./header.ts";

/** A part of the file that the metadata claim. */
export interface Claim extends Place {
  readonly what: string;
}

/** Which parts of the file hold metadata, so that nothing else may lie there. */
export interface Regions {
  /** The first claim met in `at..at+length`, cut to that range; null when there is none. */
  conflict(at: number, length: number): Claim | null;
}

/**
 * `fixed`: the few tables; `l2Tables` and `refcountBlocks`: positions of one cluster each, sorted.
 * Claims are rounded up to whole clusters.
 */
export function createRegions(
  header: Header,
  fixed: readonly Claim[],
  l2Tables: Float64Array,
  refcountBlocks: Float64Array = new Float64Array(0),
): Regions {
  const { clusterSize } = header;
  const whole = fixed.map((claim) => ({ ...claim, length: Math.ceil(claim.length / clusterSize) * clusterSize }));
  const lists = [
    { what: "an L2 table", positions: l2Tables },
    { what: "a refcount block", positions: refcountBlocks },
  ];
  // What lies between two claims: data that follow each other are often in the same gap.
  let [gapStart, gapEnd] = [0, 0];
  return {
    conflict(at, length) {
      const end = at + length;
      if (at >= gapStart && end <= gapEnd) return null;
      let first: Claim = { at: end, length: 0, what: "" };
      // Of the claims that the range does not meet: where the last one before it ends, and the first one after it begins.
      let [before, after] = [0, Number.POSITIVE_INFINITY];
      for (const claim of whole) {
        const start = Math.max(at, claim.at);
        const stop = Math.min(end, claim.at + claim.length);
        if (start < stop && start < first.at) first = { at: start, length: stop - start, what: claim.what };
        if (claim.at < end) before = Math.max(before, claim.at + claim.length);
        else after = Math.min(after, claim.at);
      }
      for (const { what, positions } of lists) {
        const next = firstAbove(positions, at - clusterSize);
        const position = positions[next] ?? Number.POSITIVE_INFINITY;
        const start = Math.max(at, position);
        if (start < first.at) first = { at: start, length: Math.min(end, position + clusterSize) - start, what };
        if (next > 0) before = Math.max(before, (positions[next - 1] as number) + clusterSize);
        after = Math.min(after, position);
      }
      if (first.length > 0) return first;
      [gapStart, gapEnd] = [before, after];
      return null;
    },
  };
}
