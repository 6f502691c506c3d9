import { DiskError } from "../core/errors.ts";
import type { ByteSource, CheckReport, OpenContext, Range, Unwrapped, Volume } from "../core/model.ts";
import type { BlockPool, LostRange } from "../core/ports.ts";
import { detectFormat, formatContext, openImage } from "../formats/registry.ts";
import { attachDisk, type Disk } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import type { Report } from "./progress.ts";
import { survey } from "./survey.ts";
import { blockOrders, MIN_GRAIN } from "./walk.ts";

const MOST_FINDINGS = 1000;

export interface ImageCheck {
  readonly format: string;
  readonly report: CheckReport;
}

/**
 * Checks one image (not its parents): its format's own tables, every packed block by unpacking it, and the checksums that it
 * or its wrapping carries. Null: there is nothing that could be wrong with it (a bare raw disk).
 */
export async function checkImage(
  given: ByteSource,
  outer: OpenContext,
  formatId: string | undefined,
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<ImageCheck | null> {
  const { file, context, wrapper } = await unwrap(given, outer, formatId);
  const format = await detectFormat(file, wrapper === null ? formatId : undefined);
  const own = await format.check?.(file, formatContext(context), signal);
  const findings = [...(own?.findings ?? [])];
  const corrupt = (text: string, guest: Range | null, at: number | null = null): void => {
    if (findings.length < MOST_FINDINGS) findings.push({ severity: "corruption", text, at, guest });
  };
  let more = 0;
  const fault = (error: unknown): null => {
    if (!(error instanceof DiskError) || ["passphrase", "missing-file", "unsupported", "io"].includes(error.code)) throw error;
    if (own === undefined || own.corruptions === 0) {
      corrupt(error.message, error.guest ?? null, error.at ?? null);
      more++;
    }
    return null;
  };
  const volume = await (wrapper ?? openImage(file, context, formatId)).catch(fault);
  const hasData = volume !== null && volume.unsupported.length === 0 && volume.locked !== true;
  const disk = hasData ? { size: volume.size, chain: [volume], notes: volume.notes } : null;
  const contents = disk === null ? null : await readPacked(disk, own === undefined, pool, report, signal);
  for (const { start, length, reason } of contents?.lost ?? []) {
    corrupt(`disk offsets ${start} to ${start + length}: ${reason}`, { start, length });
    more++;
  }
  await volume?.verify?.((done, total) => report({ phase: "source", done, total, position: 0 }), signal).catch(fault);
  if (own === undefined && more === 0 && contents?.packedBytes === 0 && volume?.verify === undefined && volume?.unit === 0) return null;
  return { format: format.id, report: { ...(own ?? totalsOf(volume, contents?.dataBytes ?? 0, file)), ...counts(own, more), findings } };
}

interface Target extends Unwrapped {
  /** What opening it came to, when it had to be opened to be unwrapped. */
  readonly wrapper: Promise<Volume> | null;
}

async function unwrap(file: ByteSource, context: OpenContext, formatId: string | undefined): Promise<Target> {
  const format = await detectFormat(file, formatId);
  if (format.check !== undefined) return { file, context, wrapper: null };
  const volume = await openImage(file, context, formatId);
  if (volume.unwrapped === undefined) return { file, context, wrapper: null };
  return { ...volume.unwrapped, wrapper: Promise.resolve(volume) };
}

interface Contents {
  readonly lost: readonly LostRange[];
  readonly dataBytes: number;
  readonly packedBytes: number;
}

/** Unpacks every packed block. Ranges that the map itself cannot tell count only when no check of the format has found them (`tables`). */
async function readPacked(disk: Disk, tables: boolean, pool: BlockPool, report: Report, signal: AbortSignal): Promise<Contents> {
  const { dataBytes, packedBytes } = await survey(disk, { cells: 1, salvage: true }, signal);
  const lost: LostRange[] = [];
  const attached = attachDisk(disk, pool);
  const onLost = (range: LostRange): void => void (tables && lost.push(range));
  const walk = {
    unit: MIN_GRAIN,
    encoding: null,
    hash: false,
    units: false,
    salvage: true,
    start: 0,
    end: disk.size,
    onLost,
    packedOnly: true,
  };
  let done = 0;
  try {
    for await (const { work, result } of inOrder(pool, blockOrders(attached, walk, signal), signal)) {
      lost.push(...result.lost);
      pool.release(result.buffer);
      done += work.dataBytes;
      report({ phase: "verify", done, total: packedBytes, position: work.order.grains[work.order.grains.length - 1] as number });
    }
  } finally {
    attached.detach();
  }
  return { lost, dataBytes: dataBytes + packedBytes, packedBytes };
}

function counts(own: CheckReport | undefined, more: number): Pick<CheckReport, "corruptions" | "leaks"> {
  return { corruptions: (own?.corruptions ?? 0) + more, leaks: own?.leaks ?? 0 };
}

/** For formats without a check of their own. */
function totalsOf(volume: Volume | null, dataBytes: number, file: ByteSource): Omit<CheckReport, "findings" | "corruptions" | "leaks"> {
  const unit = volume === null || volume.unit === 0 ? 512 : volume.unit;
  return {
    allocatedClusters: Math.ceil(dataBytes / unit),
    totalClusters: Math.ceil((volume?.size ?? 0) / unit),
    compressedClusters: 0,
    fragmentedClusters: 0,
    imageEndOffset: file.size,
  };
}
