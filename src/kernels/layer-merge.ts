import { totalLength } from "../core/bytes.ts";
import { type MergeLayers, MOST_MERGED_RUNS } from "../core/model.ts";
import { type Arena, checkRoom, INPUT_BYTES } from "./arena.ts";

const END_BYTES = 8;
/** The merge kernel: the lists go to the arena's input, what comes out lies in its output. */
export function layerMerge(arena: Arena): MergeLayers {
  const { kernels, memory, input, output } = arena;
  return (layers, start, end) => {
    const count = totalLength(layers);
    checkRoom("the number of runs", count, MOST_MERGED_RUNS);
    const cursors = input + count * END_BYTES;
    checkRoom("the layers", count * END_BYTES + layers.length * 4, INPUT_BYTES);
    const ends = new Float64Array(memory.buffer, input, count);
    const firsts = new Uint32Array(memory.buffer, cursors, layers.length);
    let first = 0;
    for (const [layer, list] of layers.entries()) {
      ends.set(list, first);
      firsts[layer] = first;
      first += list.length;
    }
    const starts = firsts.slice();
    const owners = output + count * 8;
    const indices = owners + count * 4;
    const length = kernels.mergeLayers(input, cursors, layers.length, start, end, owners, indices, output);
    const owner = new Uint32Array(memory.buffer, owners, length).slice();
    const index = new Uint32Array(memory.buffer, indices, length).slice();
    // The kernel counts over all lists.
    for (let run = 0; run < length; run++) {
      const layer = owner[run] as number;
      if (layer < layers.length) index[run] = (index[run] as number) - (starts[layer] as number);
    }
    return { length, owner, index, end: new Float64Array(memory.buffer, output, length).slice() };
  };
}
