import type { BlockOrder } from "./ports.ts";

/** Position in an order's gathered grains of a place on the disk. */
export function placer({ grains, grain }: Pick<BlockOrder, "grains" | "grain">): (start: number) => number {
  const slot = new Map(grains.map((first, i) => [first, i * grain]));
  return (start) => {
    const first = start - (start % grain);
    return (slot.get(first) as number) + (start - first);
  };
}
