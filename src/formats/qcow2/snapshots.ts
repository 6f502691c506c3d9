import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Snapshot } from "../../core/model.ts";
import type { Header, Place } from "./header.ts";
import * as q from "./spec.ts";

export interface InternalSnapshot extends Snapshot {
  /** As the table states it; not yet checked. */
  readonly l1: { readonly at: bigint; readonly entries: number };
}

export interface SnapshotTable {
  /** Those before the first damaged entry. */
  readonly list: readonly InternalSnapshot[];
  /** Where the entries of `list` lie; null when there are none. */
  readonly place: Place | null;
  /** Why the table could not be read to its end. */
  readonly problem: string | null;
}

/** Longest entry that is accepted, and how much is read at a time. */
const LONGEST = q.SNAPSHOT.bytes + q.MAX_SNAPSHOT_EXTRA + 2 * 0xffff + 8;
const WINDOW = 256 << 10;

/** [1] Snapshots. Never throws for what the table holds: the active state does not depend on it. */
export async function readSnapshots(file: ByteSource, header: Header): Promise<SnapshotTable> {
  const { count } = header.snapshots;
  const list: InternalSnapshot[] = [];
  if (count === 0) return { list, place: null, problem: null };
  const start = Number(header.snapshots.at);
  const bad = (text: string, end = start): SnapshotTable => ({
    list,
    place: list.length === 0 ? null : { at: start, length: end - start },
    problem: text,
  });
  if (count > q.MAX_SNAPSHOTS) return bad(`nb_snapshots is ${count}, at most ${q.MAX_SNAPSHOTS} are allowed`);
  if (header.snapshots.at >= BigInt(file.size) || start < header.clusterSize || start % header.clusterSize !== 0)
    return bad(`snapshots_offset is ${q.hex(header.snapshots.at)}, which cannot be a table of ${count}`);
  let window = new Uint8Array(0);
  let windowAt = start;
  let at = start;
  for (let i = 0; i < count; i++) {
    if (at + LONGEST > windowAt + window.length && windowAt + window.length < file.size) {
      windowAt = at;
      window = await file.read(at, Math.min(WINDOW, file.size - at));
    }
    const entry = readEntry(window.subarray(at - windowAt), header);
    if (typeof entry === "string") return bad(`entry ${i} of the snapshot table ${entry}`, at);
    list.push(entry.snapshot);
    at += entry.bytes;
  }
  return { list, place: { at: start, length: at - start }, problem: null };
}

function readEntry(bytes: Uint8Array, header: Header): { snapshot: InternalSnapshot; bytes: number } | string {
  if (bytes.length < q.SNAPSHOT.bytes) return "runs past the end of the file";
  const fixed = q.SNAPSHOT.read(bytes);
  if (fixed.extra_data_size > q.MAX_SNAPSHOT_EXTRA) return `has extra_data_size ${fixed.extra_data_size}`;
  const idAt = q.SNAPSHOT.bytes + fixed.extra_data_size;
  const nameAt = idAt + fixed.id_str_size;
  const end = nameAt + fixed.name_size;
  if (end > bytes.length) return "runs past the end of the file";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const extra = (at: number) => (idAt >= at + 8 ? view.getBigUint64(at) : null);
  const text = (from: number, to: number) => new TextDecoder().decode(bytes.subarray(from, to));
  const diskSize = extra(q.SNAPSHOT.bytes + 8) ?? BigInt(header.size);
  if (diskSize > BigInt(Number.MAX_SAFE_INTEGER)) return `has a disk size of ${q.hex(diskSize)}`;
  const snapshot: InternalSnapshot = {
    id: text(idAt, nameAt),
    name: text(nameAt, end),
    vmStateSize: Number(extra(q.SNAPSHOT.bytes) ?? fixed.vm_state_size),
    dateSeconds: fixed.date_sec,
    dateNanoseconds: fixed.date_nsec,
    vmClockNanoseconds: Number(fixed.vm_clock_nsec),
    diskSize: Number(diskSize),
    l1: { at: fixed.l1_table_offset, entries: fixed.l1_size },
  };
  return { snapshot, bytes: Math.ceil(end / 8) * 8 };
}

/** The snapshot that `wanted` names: by id, else by name, as qemu-img does. */
export function findSnapshot(table: SnapshotTable, wanted: string, file: ByteSource): InternalSnapshot {
  const found = table.list.find(({ id }) => id === wanted) ?? table.list.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  const known = table.list.map(({ id, name }) => `${id} “${name}”`).join(", ") || "none";
  const damaged = table.problem === null ? "" : ` (${table.problem})`;
  throw new DiskError("usage", `qcow2: ${file.name} has no snapshot “${wanted}”; it has: ${known}${damaged}`, { file: file.name });
}

/** Checks a snapshot's L1 table as the header's is checked. Returns why it cannot be used, or null. */
export function snapshotL1Problem(snapshot: InternalSnapshot, header: Header, file: ByteSource): string | null {
  const { at, entries } = snapshot.l1;
  const needed = Math.ceil(snapshot.diskSize / (header.clusterSize * header.l2Entries));
  if (entries * 8 > q.MAX_L1_BYTES) return `l1_size is ${entries}, at most ${q.MAX_L1_BYTES / 8} entries are allowed`;
  if (entries < needed) return `l1_size is ${entries}, a disk of ${snapshot.diskSize} bytes needs ${needed}`;
  if (entries === 0) return null;
  if (at === 0n || at % BigInt(header.clusterSize) !== 0n)
    return `l1_table_offset is ${q.hex(at)}, expected a multiple of the cluster size above 0`;
  if (at + BigInt(entries * 8) > BigInt(file.size)) return `l1_table_offset is ${q.hex(at)}: the table runs past the end of the file`;
  return null;
}
