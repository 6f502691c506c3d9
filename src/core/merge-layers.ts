import type { MergedRuns, MergeLayers } from "./model.ts";

/** The plain statement of what the merge kernel computes; see `MergeLayers`. */
export const mergeLayers: MergeLayers = (layers, start, end) => {
  const owners: number[] = [];
  const indices: number[] = [];
  const stops: number[] = [];
  for (let at = start; at < end; ) {
    const runs = layers.map((ends) => ends.findIndex((runEnd) => Math.abs(runEnd) > at));
    const found = layers.findIndex((ends, layer) => (ends[runs[layer] as number] as number) > 0);
    const owner = found < 0 ? layers.length : found;
    const index = found < 0 ? 0 : (runs[found] as number);
    const reached = layers.slice(0, owner + 1).map((ends, layer) => Math.abs(ends[runs[layer] as number] as number));
    at = Math.min(end, ...reached);
    if (owners.at(-1) === owner && indices.at(-1) === index) stops[stops.length - 1] = at;
    else {
      owners.push(owner);
      indices.push(index);
      stops.push(at);
    }
  }
  const merged: MergedRuns = {
    length: owners.length,
    owner: Uint32Array.from(owners),
    index: Uint32Array.from(indices),
    end: Float64Array.from(stops),
  };
  return merged;
};
