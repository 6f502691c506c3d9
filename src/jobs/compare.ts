import type { Range } from "../core/model.ts";
import type { BlockPool } from "../core/ports.ts";
import { readContents } from "./contents.ts";
import { type AttachedDisk, attachDisk, type Disk } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import type { Report } from "./progress.ts";
import { readDisk } from "./read.ts";
import { blockOrders, HASHES, MIN_GRAIN } from "./walk.ts";

export interface Comparison {
  /** First byte that differs; null when there is none. Where one disk is longer, its tail counts as compared with zeros. */
  readonly differsAt: number | null;
  readonly sizes: readonly [number, number];
  /** Where that byte lies, in words: its sector, and its partition when the first disk has a table. Empty when there is none. */
  readonly where: string;
}

interface Piece {
  readonly at: number;
  readonly hash: Uint8Array;
}

/** Compares what two disks show to a guest; both are read side by side, up to the first difference. */
export async function compareDisks(a: Disk, b: Disk, pool: BlockPool, report: Report, signal: AbortSignal): Promise<Comparison> {
  const attached = [attachDisk(a, pool), attachDisk(b, pool)] as const;
  try {
    const at = await firstDifferingPiece(attached, pool, report, signal);
    const differsAt = at === null ? null : await firstDifferingByte(attached, at, pool, signal);
    const where = differsAt === null ? "" : await describePlace(a, differsAt, pool, signal);
    return { differsAt, sizes: [a.size, b.size], where };
  } finally {
    for (const disk of attached) disk.detach();
  }
}

const SECTOR = 512;

async function describePlace(disk: Disk, at: number, pool: BlockPool, signal: AbortSignal): Promise<string> {
  const sector = `sector ${Math.floor(at / SECTOR)}`;
  const contents = await readContents(disk, pool, signal);
  const number = contents?.entries.findIndex(({ start, length }) => at >= start && at < start + length) ?? -1;
  const entry = contents?.entries[number];
  if (contents === null || entry === undefined) return sector;
  if (contents.kind === "none") return `${sector}, in the ${entry.fileSystem} file system`;
  const name = [entry.name, entry.fileSystem ?? entry.type].filter((part) => part !== "").join(", ");
  return `${sector}, ${at - entry.start} bytes into partition ${number + 1}${name === "" ? "" : ` (${name})`}`;
}

async function firstDifferingPiece(
  disks: readonly [AttachedDisk, AttachedDisk],
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<number | null> {
  for await (const { start } of differing(disks, pool, report, signal)) return start;
  return null;
}

/** Every 64 KiB (the last one may be shorter) in which two disks differ, ascending; both are read once, side by side. */
export async function* differingPieces(a: Disk, b: Disk, pool: BlockPool, report: Report, signal: AbortSignal): AsyncGenerator<Range> {
  const attached = [attachDisk(a, pool), attachDisk(b, pool)] as const;
  try {
    yield* differing(attached, pool, report, signal);
  } finally {
    for (const disk of attached) disk.detach();
  }
}

/** Both sequences are ascending, and pieces that are all zero are in neither. */
async function* differing(
  disks: readonly [AttachedDisk, AttachedDisk],
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): AsyncGenerator<Range> {
  const total = Math.max(disks[0].disk.size, disks[1].disk.size);
  const left = pieces(disks[0], total, pool, signal);
  const right = pieces(disks[1], total, pool, signal);
  try {
    let [x, y] = [(await left.next()).value, (await right.next()).value];
    while (x !== undefined || y !== undefined) {
      const at = Math.min(x?.at ?? total, y?.at ?? total);
      const [hasLeft, hasRight] = [x?.at === at, y?.at === at];
      const isSame = hasLeft && hasRight && x?.hash.every((byte, i) => byte === y?.hash[i]) === true;
      if (!isSame) yield { start: at, length: Math.min(MIN_GRAIN, total - at) };
      report({ phase: "read", done: at, total, position: at });
      if (hasLeft) x = (await left.next()).value;
      if (hasRight) y = (await right.next()).value;
    }
  } finally {
    await left.return(undefined);
    await right.return(undefined);
  }
}

/** BLAKE3 values of the non-zero 64 KiB pieces. Both disks are hashed as if of one size, so that a shorter last piece compares equal with a zero-padded one. */
async function* pieces(attached: AttachedDisk, size: number, pool: BlockPool, signal: AbortSignal): AsyncGenerator<Piece, undefined> {
  const request = { ...HASHES, start: 0, end: attached.disk.size };
  const padded = { ...attached, disk: { ...attached.disk, size } };
  for await (const { result } of inOrder(pool, blockOrders(padded, request, signal), signal)) {
    pool.release(result.buffer);
    for (let i = 0; i < result.hashAt.length; i++)
      yield { at: result.hashAt[i] as number, hash: result.hashes.subarray(i * 32, i * 32 + 32) };
  }
}

async function firstDifferingByte(
  disks: readonly [AttachedDisk, AttachedDisk],
  at: number,
  pool: BlockPool,
  signal: AbortSignal,
): Promise<number> {
  const [x, y] = await Promise.all(disks.map((disk) => readDisk(disk, pool, at, MIN_GRAIN, signal)));
  for (let i = 0; i < MIN_GRAIN; i++) if ((x?.[i] ?? 0) !== (y?.[i] ?? 0)) return at + i;
  throw new Error(`the pieces at ${at} hash differently but hold the same bytes`);
}
