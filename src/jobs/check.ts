import { DiskError } from "../core/errors.ts";
import type { ByteSource, CheckReport, DiskFormat, Finding, OpenContext, Range, Unwrapped, Volume } from "../core/model.ts";
import type { BlockPool, Compute, LostRange } from "../core/ports.ts";
import { detectFormat, formatById, formatContext, openImage } from "../formats/registry.ts";
import { attachDisk, createDisk, type Disk, requireReadable } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import type { Report } from "./progress.ts";
import { survey } from "./survey.ts";
import { blockOrders, MIN_GRAIN } from "./walk.ts";

const MOST_FINDINGS = 1000;
const SECTOR = 512;

export interface ImageCheck {
  readonly format: string;
  readonly report: CheckReport;
}

/**
 * Checks one image (not its parents): its format's own tables, every packed block by unpacking it, its wrappings, and the checksums
 * that it or they carry. Null: there is nothing that could be wrong with it (a bare raw disk). An image whose data cannot be read
 * (encrypted, features that are not known here) has its tables checked, and the report says that the data was not; without tables
 * of its own it is a `passphrase` or `unsupported` error.
 */
export async function checkImage(
  given: ByteSource,
  outer: OpenContext,
  formatId: string | undefined,
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<ImageCheck | null> {
  const findings = createFindings();
  const { file, context, format, opened } = await findImage(given, outer, formatId, findings);
  const own = await format.check?.(file, formatContext(context), signal);
  // What opening stumbles over, the check of the tables has told already.
  const onFault = own !== undefined && own.corruptions > 0 ? createFindings().fault : findings.fault;
  const volume = own === undefined || opened !== null ? opened : await openImage(file, context, formatId).catch(onFault);
  const unread = volume === null ? null : unreadable(volume);
  if (own === undefined && unread !== null) throw unread;
  if (unread !== null) findings.warn(`The data was not checked: ${unread.message}`);
  if (own === undefined || volume?.wrapping !== undefined)
    for (const note of volume?.notes ?? []) if (note.severity === "warning") findings.warn(note.text);
  const disk = volume === null || unread !== null ? null : layerOf(volume, context.compute);
  const contents = disk === null ? null : await readPacked(disk, own === undefined, pool, report, signal);
  for (const { start, length, reason } of contents?.lost ?? [])
    findings.corrupt(`disk offsets ${start} to ${start + length}: ${reason}`, { start, length });
  await volume?.verify?.((done, total) => report({ phase: "source", done, total, position: 0 }), signal).catch(findings.fault);
  const isBare = volume?.unit === 0 && volume.wrapping === undefined && volume.verify === undefined && contents?.packedBytes === 0;
  if (own === undefined && isBare && findings.corruptions === 0) return null;
  const totals = own ?? totalsOf(volume, contents, file);
  return {
    format: format.id,
    report: {
      ...totals,
      corruptions: (own?.corruptions ?? 0) + findings.corruptions,
      leaks: own?.leaks ?? 0,
      findings: [...(own?.findings ?? []), ...findings.list].slice(0, MOST_FINDINGS),
    },
  };
}

interface Findings {
  readonly list: readonly Finding[];
  /** Also of those that the list has no room for. */
  readonly corruptions: number;
  corrupt(text: string, guest: Range | null, at?: number | null): void;
  warn(text: string): void;
  /** Damage is a finding; anything else ends the check. */
  fault(error: unknown): null;
}

function createFindings(): Findings {
  const list: Finding[] = [];
  let corruptions = 0;
  const add = (finding: Finding): void => void (list.length < MOST_FINDINGS && list.push(finding));
  const corrupt = (text: string, guest: Range | null, at: number | null = null): void => {
    corruptions++;
    add({ severity: "corruption", text, at, guest });
  };
  return {
    list,
    get corruptions() {
      return corruptions;
    },
    corrupt,
    warn: (text) => add({ severity: "warning", text, at: null, guest: null }),
    fault(error) {
      if (!(error instanceof DiskError) || error.code !== "corrupt") throw error;
      corrupt(error.message, error.guest ?? null, error.at ?? null);
      return null;
    },
  };
}

/** Why the image's data cannot be read, if it cannot. */
function unreadable(volume: Volume): DiskError | null {
  try {
    requireReadable({ chain: [volume] });
    return null;
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
}

/** One layer as a disk of its own: what its parents hold counts as zeros. */
export const layerOf = (volume: Volume, { mergeLayers }: Compute): Disk => createDisk([volume], mergeLayers);

interface Target extends Unwrapped {
  readonly format: DiskFormat;
  /** What opening came to; null: not tried (the format has its own check), or failed. */
  readonly opened: Volume | null;
}

/** The file to check, out of its wrappings, and its format. Without tables of its own it is opened. */
async function findImage(file: ByteSource, context: OpenContext, formatId: string | undefined, findings: Findings): Promise<Target> {
  const format = await detectFormat(file, formatId);
  if (format.check !== undefined) return { file, context, format, opened: null };
  const opened = await openImage(file, context, formatId).catch((error: unknown) => findings.fault(error));
  if (opened?.unwrapped === undefined) return { file, context, format, opened };
  return { ...opened.unwrapped, format: formatById(opened.format), opened };
}

interface Contents {
  readonly lost: readonly LostRange[];
  readonly dataBytes: number;
  readonly packedBytes: number;
}

/** Unpacks every packed block; what is stored as it is has nothing to be compared with. Ranges that the map itself cannot tell count only when no check of the format has found them (`tables`). */
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

/** For formats without a check of their own. */
function totalsOf(
  volume: Volume | null,
  contents: Contents | null,
  file: ByteSource,
): Omit<CheckReport, "findings" | "corruptions" | "leaks"> {
  const unit = volume === null || volume.unit === 0 ? SECTOR : volume.unit;
  return {
    allocatedClusters: Math.ceil((contents?.dataBytes ?? 0) / unit),
    totalClusters: Math.ceil((volume?.size ?? 0) / unit),
    compressedClusters: Math.ceil((contents?.packedBytes ?? 0) / unit),
    fragmentedClusters: 0,
    imageEndOffset: file.size,
  };
}
