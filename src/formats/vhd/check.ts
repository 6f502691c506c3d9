import { CheckTally } from "../../core/check-tally.ts";
import type { ByteSource, CheckReport, Finding, OpenContext, Range } from "../../core/model.ts";
import { bitRuns } from "./bitmap.ts";
import { type BlockPlace, BlockTable } from "./block-table.ts";
import { type Layout, readLayout, type SparseLayout } from "./layout.ts";
import { SECTOR } from "./spec.ts";

const MOST_FINDINGS = 1000;
const BITMAPS_AT_ONCE = 32;
/** Bytes read at once in search of data that no bit announces. */
const READ_BYTES = 1 << 20;

/**
 * Holds the footers, the dynamic disk header, the whole block allocation table and every sector bitmap against one another and the file:
 * blocks past the end, blocks that overlap, blocks that no entry uses, data where the bitmap of a dynamic image says there is none.
 */
export async function checkVhd(file: ByteSource, { compute }: OpenContext, signal?: AbortSignal): Promise<CheckReport> {
  const layout = await readLayout(file);
  const tally = new Tally();
  for (const { text, at, isDamage } of layout.remarks) isDamage ? tally.corruption(text, at) : tally.warning(text, at);
  const { sparse } = layout;
  if (sparse === null) {
    tally.imageEndOffset = layout.size;
    return tally.report();
  }
  tally.totalClusters = sparse.blocks;
  const table = new BlockTable(file, sparse, layout, compute.scanTable);
  let waiting: { readonly place: BlockPlace; readonly guest: Range }[] = [];
  const checkBitmaps = async () => {
    const found = await Promise.all(waiting.map(({ place, guest }) => findUnannounced(file, place, sparse, guest, signal)));
    for (const { text, at, guest: range } of found.flat()) tally.warning(text, at, range);
    waiting = [];
  };
  for (let first = 0; first < sparse.header.maxTableEntries; ) {
    const piece = await table.piece(first);
    for (const [block, at] of table.allocated(piece)) {
      signal?.throwIfAborted();
      const fault = table.fault(block, at);
      const entry = `block allocation table entry ${block}`;
      const [entryAt, guest] = [table.entryAt(block), table.guestOf(block)];
      if (block >= sparse.blocks) tally.leak(`${entry} points to a block past the end of the disk`, entryAt);
      else if (fault !== null) tally.corruption(`${entry} ${fault}`, entryAt, guest);
      else {
        tally.block(at, sparse.bitmapBytes + table.lengthOf(block));
        if (sparse.parent === null) waiting.push({ place: table.place(block, at), guest });
        if (waiting.length === BITMAPS_AT_ONCE) await checkBitmaps();
      }
    }
    first += piece.isFull.length;
  }
  await checkBitmaps();
  if (table.places.tracked) findLeaks(layout, sparse, table, tally);
  return tally.report();
}

class Tally extends CheckTally {
  private lastEnd = -1;

  block(at: number, length: number): void {
    if (this.allocatedClusters > 0 && at !== this.lastEnd) this.fragmentedClusters++;
    this.allocatedClusters++;
    this.lastEnd = at + length;
    this.imageEndOffset = Math.max(this.imageEndOffset, this.lastEnd);
  }
}

/**
 * In a dynamic image a sector whose bit is clear reads as zero; qemu does not look at the bits. Where data stand in its place, one of
 * them is wrong.
 */
async function findUnannounced(
  file: ByteSource,
  place: BlockPlace,
  { bitmapBytes }: SparseLayout,
  guest: Range,
  signal?: AbortSignal,
): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  const bitmap = await file.read(place.bitmapAt, bitmapBytes, signal);
  for (const { first, count, isSet } of bitRuns(bitmap, 0, place.length / SECTOR)) {
    if (isSet) continue;
    // A block of 2 GiB may have millions of such runs; no report lists them all.
    if (found.length === MOST_FINDINGS) break;
    const at = first * SECTOR;
    if (await isZero(file, place.dataAt + at, count * SECTOR, signal)) continue;
    const text = `the sector bitmap says that these ${count} sectors were never written, but bytes that are not zero stand in their place at byte ${place.dataAt + at}; they read as zero`;
    found.push({
      severity: "warning",
      text,
      at: place.bitmapAt + (first >> 3),
      guest: { start: guest.start + at, length: count * SECTOR },
    });
  }
  return found;
}

async function isZero(file: ByteSource, at: number, length: number, signal?: AbortSignal): Promise<boolean> {
  for (let done = 0; done < length; done += READ_BYTES) {
    const bytes = await file.read(at + done, Math.min(READ_BYTES, length - done), signal);
    if (bytes.some((byte) => byte !== 0)) return false;
  }
  return true;
}

/** Room between what is in use that would hold whole blocks. Less is alignment. */
function findLeaks({ dataEnd }: Layout, { metadata, parent, bitmapBytes, unit }: SparseLayout, table: BlockTable, tally: Tally): void {
  const stride = bitmapBytes + unit;
  const others = [...metadata, ...(parent?.areas ?? []), { at: dataEnd, end: dataEnd }].sort((a, b) => a.at - b.at);
  let end = 0;
  const until = (at: number): void => {
    const blocks = Math.floor((at - end) / stride);
    if (blocks > 0)
      tally.leak(`${blocks} ${blocks === 1 ? "block" : "blocks"} from byte ${end} on ${blocks === 1 ? "is" : "are"} not used`, end, blocks);
  };
  let next = 0;
  const passOthers = (limit: number): void => {
    for (let area = others[next]; area !== undefined && area.at <= limit; area = others[++next]) {
      until(area.at);
      end = Math.max(end, area.end);
    }
  };
  for (const at of table.places.ascending()) {
    passOthers(at);
    until(at);
    end = Math.max(end, at + stride);
  }
  passOthers(dataEnd);
}
