import type { BlockOrder } from "../core/ports.ts";
import { type FileRange, orderReads, totalBytes } from "./reads.ts";

/** Gives the ranges of one file, one behind the other, in memory of their own. */
export type ReadRanges = (ranges: readonly FileRange[]) => Promise<Uint8Array<ArrayBuffer>>;

/** Reads of an order that are begun before they are asked for, some of them together. */
export interface ReadAhead {
  /** The bytes, if these are the next ranges of what was begun; their failure does not say where it was. */
  take(source: number, ranges: readonly FileRange[]): Promise<Uint8Array<ArrayBuffer>> | null;
}

interface Group {
  readonly source: number;
  readonly ranges: FileRange[];
}

export const NOTHING_AHEAD: ReadAhead = { take: () => null };

/**
 * Begins the first reads at once, and the next ones when the last of those before are taken, in the order in which the processor asks.
 * `together`: how a source is read; null: it is not read ahead.
 */
export function readAhead(order: BlockOrder, together: (source: number) => ReadRanges | null): ReadAhead {
  const groups = groupsOf(order, together).values();
  let group: Group | undefined;
  let bytes: Promise<Uint8Array<ArrayBuffer>> | undefined;
  let [taken, start] = [0, 0];
  const begin = (): void => {
    group = groups.next().value;
    bytes = group && together(group.source)?.(group.ranges);
    bytes?.catch(() => {}); // told when it is asked for
    [taken, start] = [0, 0];
  };
  begin();
  return {
    take(source, ranges) {
      if (group === undefined || bytes === undefined || group.source !== source) return null;
      const next = group.ranges.slice(taken, taken + ranges.length);
      if (!ranges.every(({ at, length }, i) => next[i]?.at === at && next[i].length === length)) return null;
      const [all, from, to] = [bytes, start, start + totalBytes(ranges)];
      start = to;
      taken += ranges.length;
      if (taken === group.ranges.length) begin();
      return all.then((read) => read.subarray(from, to));
    },
  };
}

function groupsOf(order: BlockOrder, together: (source: number) => ReadRanges | null): Group[] {
  const { reads, whole } = orderReads(order);
  // Of scattered data a group waits while the one before is in use: both are no more than the order itself.
  const most = whole ? Number.POSITIVE_INFINITY : (order.grains.length * order.grain) / 2;
  const groups: Group[] = [];
  for (const { source, at, length } of reads) {
    if (together(source) === null) continue;
    const last = groups[groups.length - 1];
    if (last?.source === source && totalBytes(last.ranges) + length <= most) last.ranges.push({ at, length });
    else groups.push({ source, ranges: [{ at, length }] });
  }
  return groups;
}
