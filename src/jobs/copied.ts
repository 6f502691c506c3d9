import { placer } from "../core/grains.ts";
import type { BlockOrder, Copied } from "../core/ports.ts";
import type { AttachedDisk } from "./disk.ts";

/** Where the source has the bytes that a write carries; undefined: they were not read as they are. */
export type CopiedFrom = (bytes: Uint8Array) => readonly Copied[] | undefined;

/** A part of an order's gathered bytes that stands in a file as it is. */
interface Piece {
  readonly from: number;
  length: number;
  readonly at: number;
  readonly file: number;
}

/** For the writes made of one order's result: what plain extents were gathered into, and nothing has packed, is a copy. */
export function copiedFrom(order: BlockOrder, result: ArrayBuffer, attached: AttachedDisk): CopiedFrom {
  if (order.encoding !== null || order.salvage) return () => undefined;
  const place = placer(order);
  const pieces: Piece[] = [];
  for (const { kind, start, length, at, file } of order.extents) {
    if (kind !== "raw") continue;
    const from = place(start);
    const last = pieces[pieces.length - 1];
    if (last !== undefined && last.file === file && last.from + last.length === from && last.at + last.length === at) last.length += length;
    else pieces.push({ from, length, at, file });
  }
  return ({ buffer, byteOffset, length: count }) => {
    if (buffer !== result) return undefined;
    const copied: Copied[] = [];
    let next = byteOffset;
    const end = byteOffset + count;
    for (const { from, length, at, file } of pieces) {
      if (from + length <= next) continue;
      if (from > next || next === end) break;
      const stop = Math.min(from + length, end);
      copied.push({ source: attached.source(file), at: at + next - from, length: stop - next });
      next = stop;
    }
    return next === end ? copied : undefined;
  };
}
