import type { Occupancy } from "../core/target.ts";
import type { Disk } from "./disk.ts";
import { survey } from "./survey.ts";

const SMALLEST = 64 << 10;
const LARGEST = 256 << 20;

/** Counts, for every power of two from 64 KiB to 256 MiB, the units of that size that hold data: one walk over the tables. */
export async function occupancyOf(disk: Disk, salvage: boolean, signal: AbortSignal): Promise<Occupancy> {
  const counters: { readonly unit: number; count: number; next: number }[] = [];
  for (let unit = SMALLEST; unit <= LARGEST; unit *= 2) counters.push({ unit, count: 0, next: 0 });
  const onData = (start: number, length: number): void => {
    for (const counter of counters) {
      const first = Math.max(counter.next, Math.floor(start / counter.unit));
      const end = Math.ceil((start + length) / counter.unit);
      if (end <= first) continue;
      counter.count += end - first;
      counter.next = end;
    }
  };
  await survey(disk, { cells: 1, salvage, onData }, signal);
  return (unit) => {
    const counter = counters.find((candidate) => candidate.unit === unit);
    if (counter === undefined) throw new RangeError(`units of ${unit} bytes are not counted`);
    return counter.count;
  };
}
