// The runs of several layers → the runs of what they show together. The plain statement of the same is src/core/merge-layers.ts.

/**
 * Every layer is a list of runs that lie one behind the other and reach to `end` or past it; of each its end (f64) is given, as a
 * negative number where the layer has a hole. The lists lie one behind the other at `ends`, the newest layer's first; `cursors` holds
 * the number (u32, counted over all lists) of each layer's first run, and is moved on. From `start` on, every place belongs to the
 * newest layer without a hole there. For every run of what they show: its layer (u32; `layers`: none) → `owners`, the number of
 * that layer's run (u32) → `indices`, its end (f64) → `stops`. Returns how many; each array needs room for as many as there are runs in
 * all lists.
 */
export function mergeLayers(
  ends: usize,
  cursors: usize,
  layers: u32,
  start: f64,
  end: f64,
  owners: usize,
  indices: usize,
  stops: usize,
): i32 {
  let runs = 0;
  let lastOwner: u32 = u32.MAX_VALUE;
  let lastIndex: u32 = 0;
  for (let at = start; at < end; ) {
    let stop = end;
    let owner: u32 = 0;
    let index: u32 = 0;
    for (; owner < layers; owner++) {
      const place = cursors + ((<usize>owner) << 2);
      let cursor = load<u32>(place);
      let runEnd = load<f64>(ends + ((<usize>cursor) << 3));
      while (abs(runEnd) <= at) {
        cursor++;
        runEnd = load<f64>(ends + ((<usize>cursor) << 3));
      }
      store<u32>(place, cursor);
      stop = min(stop, abs(runEnd));
      if (runEnd > 0) {
        index = cursor;
        break;
      }
    }
    at = stop;
    if (owner === lastOwner && index === lastIndex) {
      store<f64>(stops + ((<usize>(runs - 1)) << 3), stop);
      continue;
    }
    lastOwner = owner;
    lastIndex = index;
    store<u32>(owners + ((<usize>runs) << 2), owner);
    store<u32>(indices + ((<usize>runs) << 2), index);
    store<f64>(stops + ((<usize>runs) << 3), stop);
    runs++;
  }
  return runs;
}
