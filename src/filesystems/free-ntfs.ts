// NTFS: the file $Bitmap (record 6 of the master file table) has a bit per cluster. Nothing in NTFS says whether its content is right,
// so every record of the master file table is gone through once: what a file holds must not be free.
import { DiskError } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import { addRange, type FreeMap, MOST_RANGES, type OpenFreeMap, PartPages, zeroRuns } from "./free-map.ts";
import { BAAD, DATA, type DataRun, FILE, type FileRecord, readRecord } from "./free-ntfs-records.ts";
import { type NtfsBoot, openNtfs } from "./free-ntfs-volume.ts";

/** Bytes of bitmap looked at in one step. */
const STEP = 32768;
/** One answer goes through no more bitmap than this. */
const MOST_BYTES = 1 << 20;
const MFT_STEP = 1 << 20;

export const openNtfsFree: OpenFreeMap = async (part, _compute, signal) => {
  const pages = new PartPages(part);
  const { boot, bitmap, mft } = await openNtfs(pages, signal);
  const map = new NtfsFreeMap(boot, bitmap, pages);
  await requireFilesInUse(boot, mft, map, pages, signal);
  return map;
};

class NtfsFreeMap implements FreeMap {
  readonly kind = "ntfs";
  readonly unit: number;
  private readonly boot: NtfsBoot;
  private readonly runs: readonly DataRun[];
  private readonly pages: PartPages;

  constructor(boot: NtfsBoot, runs: readonly DataRun[], pages: PartPages) {
    this.unit = boot.clusterBytes;
    this.boot = boot;
    this.runs = runs;
    this.pages = pages;
  }

  async free(start: number, length: number, signal?: AbortSignal) {
    const { clusters, clusterBytes } = this.boot;
    const ranges: Range[] = [];
    const stop = start + length;
    const first = Math.floor(start / clusterBytes);
    const end = Math.min(clusters, Math.ceil(stop / clusterBytes), first + MOST_BYTES * 8);
    let doubtful = 0;
    for (let cluster = Math.floor(first / (STEP * 8)) * STEP * 8; cluster < end; cluster += STEP * 8) {
      const from = cluster * clusterBytes;
      if (ranges.length > MOST_RANGES && from > start) return { ranges, end: from, doubtful };
      const count = Math.min(STEP * 8, end - cluster);
      const bits = await this.bits(cluster, count, signal).catch((error: unknown) => {
        if (error instanceof DiskError) return null;
        throw error;
      });
      if (bits === null) doubtful += Math.min(from + count * clusterBytes, stop) - Math.max(from, start);
      for (const run of bits === null ? [] : zeroRuns(bits, 0, count))
        addRange(ranges, { start: from + run.start * clusterBytes, length: run.length * clusterBytes }, start, stop);
    }
    return { ranges, end: end >= clusters ? stop : Math.min(stop, end * clusterBytes), doubtful };
  }

  /** The first cluster of a run that the bitmap says is free; null: none. */
  async firstFree(lcn: number, length: number, signal?: AbortSignal): Promise<number | null> {
    const first = Math.floor(lcn / 8) * 8;
    for (let cluster = first; cluster < lcn + length; cluster += STEP * 8) {
      const count = Math.min(STEP * 8, lcn + length - cluster);
      const bits = await this.bits(cluster, count, signal);
      for (const run of zeroRuns(bits, Math.max(0, lcn - cluster), count)) return cluster + run.start;
    }
    return null;
  }

  /** The bitmap from `cluster`, a multiple of 8, on. */
  private async bits(cluster: number, count: number, signal?: AbortSignal): Promise<Uint8Array> {
    return readRuns(this.runs, cluster / 8, Math.ceil(count / 8), this.boot.clusterBytes, (at, length) =>
      this.pages.bytes(at, length, signal),
    );
  }
}

/** Bytes of a file by its runs, which are ascending and without gaps. */
async function readRuns(
  runs: readonly DataRun[],
  at: number,
  length: number,
  clusterBytes: number,
  read: (at: number, length: number) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const out = new Uint8Array(length);
  let done = 0;
  for (const run of runs) {
    const start = run.vcn * clusterBytes;
    const end = start + run.length * clusterBytes;
    if (at + done < start || at + done >= end) continue;
    if (run.lcn === null) throw new DiskError("corrupt", `$Bitmap: cluster ${run.vcn} is sparse`);
    const part = Math.min(length - done, end - at - done);
    out.set(await read(run.lcn * clusterBytes + at + done - start, part), done);
    done += part;
    if (done === length) return out;
  }
  throw new DiskError("corrupt", `its runs end before byte ${at + length}`);
}

/** Throws `corrupt` when a cluster of any file's is said to be free, or when a record cannot be read. */
async function requireFilesInUse(boot: NtfsBoot, mft: FileRecord, map: NtfsFreeMap, pages: PartPages, signal?: AbortSignal): Promise<void> {
  const { part } = pages;
  const data = mft.attributes.find(({ type, isNamed }) => type === DATA && !isNamed);
  if (data === undefined) throw new DiskError("corrupt", `${part.name}: ntfs: $MFT has no data`);
  const runs = [...data.runs];
  const { recordBytes, clusterBytes } = boot;
  const step = Math.max(MFT_STEP, recordBytes);
  for (let at = 0; at < data.initializedSize; at += step) {
    const length = Math.min(step, data.initializedSize - at);
    // A much fragmented table goes on in records of its own, which come before what they lead to.
    runs.sort((a, b) => a.vcn - b.vcn);
    const records = await readRuns(runs, at, length, clusterBytes, (from, count) => part.read(from, count, signal));
    for (let i = 0; i + recordBytes <= records.length; i += recordBytes) {
      const number = (at + i) / recordBytes;
      const what = `${part.name}: ntfs: record ${number}`;
      const record = inUseRecord(records.subarray(i, i + recordBytes), what);
      if (record === null) continue;
      for (const attribute of record.attributes) {
        await requireInUse(attribute.runs, boot, map, what, signal);
        if (record.base === 0 && number > 0 && attribute.type === DATA && !attribute.isNamed) runs.push(...attribute.runs);
      }
    }
  }
}

/** Null for a record that no file has. */
function inUseRecord(bytes: Uint8Array, what: string): FileRecord | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0, true);
  if (magic === BAAD) throw new DiskError("corrupt", `${what} was not written whole`);
  const isInUse = (view.getUint16(22, true) & 1) !== 0;
  return magic === FILE && isInUse ? readRecord(bytes, what) : null;
}

async function requireInUse(runs: readonly DataRun[], boot: NtfsBoot, map: NtfsFreeMap, what: string, signal?: AbortSignal): Promise<void> {
  for (const { lcn, length } of runs) {
    if (lcn === null) continue;
    if (lcn + length > boot.clusters)
      throw new DiskError("corrupt", `${what} holds clusters ${lcn} to ${lcn + length}, past the volume's end`);
    const free = await map.firstFree(lcn, length, signal);
    if (free !== null) throw new DiskError("corrupt", `${what} holds cluster ${free}, which $Bitmap says is free`);
  }
}
