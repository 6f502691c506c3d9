import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Json, Note, OpenContext, Volume } from "../../core/model.ts";
import { DiskMap } from "./disk-map.ts";
import { type Data, decrypt, type Encryption, openEncryption } from "./encryption.ts";
import { type Header, readHeader } from "./header.ts";
import { openRefcounts, type Refcounts } from "./refcounts.ts";
import type { Claim } from "./regions.ts";
import { findSnapshot, type InternalSnapshot, readSnapshots, type SnapshotTable, snapshotL1Problem } from "./snapshots.ts";
import * as q from "./spec.ts";

/**
 * Opens one image as one layer; the backing file is named, not opened. Throws `corrupt` when the header or the L1 table's place is
 * damaged, `missing-file` when the external data file is not given, `usage` when `context.snapshot` does not exist.
 */
export async function openQcow2(file: ByteSource, context: OpenContext): Promise<Volume> {
  const header = await readHeader(file);
  const readable = header.unsupported.length === 0;
  const table = await readSnapshots(file, header);
  const snapshot = context.snapshot === undefined ? null : findSnapshot(table, context.snapshot, file);
  const notes: Note[] = [...header.notes];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  if (table.problem !== null) warn(`Damaged snapshot table, not needed for the disk itself: ${table.problem}.`);
  const refcounts = readable ? await openRefcounts(file, header) : null;
  if (refcounts !== null && !header.dirty && (await contradicts(refcounts, header)))
    warn("Damaged refcounts, not needed for reading: they do not count the header or the L1 table once.");
  const dataFile = header.dataFile && readable ? await resolveDataFile(file, header, context) : null;
  const map = readable ? await openMap({ file, dataFile, header, table, refcounts, snapshot, context }) : null;
  const size = snapshot?.diskSize ?? header.size;
  if (map !== null && snapshot === null) checkPastEnd(file, header, map.entriesPastEnd(), table, warn);
  const encryption = readable ? await openEncryption(file, header, context) : null;
  const unsupported = [...header.unsupported, ...(encryption?.unsupported ?? [])];
  const locked = encryption !== null && encryption.cipher === null && unsupported.length === 0;
  const plain: Data = {
    files: dataFile === null ? [file] : [file, dataFile],
    notes: encryption?.notes ?? [],
    async extents(start, length, signal) {
      if (map === null || unsupported.length > 0)
        throw q.problem("unsupported", `the data cannot be read: ${unsupported.join(", ")}`, { file: file.name });
      if (locked) throw q.problem("passphrase", `${file.name} is encrypted and needs its passphrase`, { file: file.name });
      return map.extents(start, length, signal);
    },
  };
  const data = encryption === null ? plain : await decrypt(plain, size, encryption);
  return {
    format: "qcow2",
    variant: variantOf(header),
    size,
    unit: header.clusterSize,
    files: data.files,
    parent: header.backing,
    identity: null,
    snapshots: table.list.map(({ l1: _, ...shown }) => shown),
    snapshot: snapshot?.id,
    unsupported,
    notes: [...notes, ...data.notes],
    encrypted: header.encryption !== null,
    locked,
    details: detailsOf(header, encryption),
    extents: data.extents,
  };
}

async function resolveDataFile(file: ByteSource, header: Header, context: OpenContext): Promise<ByteSource> {
  const name = header.extensions.dataFileName;
  const source = await context.resolve({ role: "data-file", name: name ?? "", id: null, format: "raw" });
  if (source !== null) return source;
  const text = name === null ? "an external data file that it does not name" : `the external data file “${name}”`;
  throw new DiskError("missing-file", `qcow2: the data of ${file.name} are in ${text}`, { file: file.name, needs: name ?? "" });
}

/** The header and the L1 table have one user each, in every sound image. */
async function contradicts(refcounts: Refcounts, { l1, clusterSize }: Header): Promise<boolean> {
  return (await refcounts.get(0)) !== 1 || (l1.entries > 0 && (await refcounts.get(l1.at / clusterSize)) !== 1);
}

interface Opened {
  readonly file: ByteSource;
  readonly dataFile: ByteSource | null;
  readonly header: Header;
  readonly table: SnapshotTable;
  readonly refcounts: Refcounts | null;
  readonly snapshot: InternalSnapshot | null;
  readonly context: OpenContext;
}

function openMap({ file, dataFile, header, table, refcounts, snapshot, context }: Opened): Promise<DiskMap> {
  if (snapshot !== null) {
    const bad = snapshotL1Problem(snapshot, header, file);
    if (bad !== null) throw q.problem("corrupt", `snapshot “${snapshot.name}”: ${bad}`, { file: file.name });
  }
  const l1 = snapshot === null ? header.l1 : { at: Number(snapshot.l1.at), entries: snapshot.l1.entries };
  return DiskMap.open({
    file,
    data: dataFile ?? file,
    header,
    refcounts,
    scanTable: context.compute.scanTable,
    diskSize: snapshot?.diskSize ?? header.size,
    l1,
    claims: claimsOf(header, table, l1, file),
  });
}

/** The tables that neither L2 tables nor data may lie over. */
function claimsOf(header: Header, table: SnapshotTable, l1: Header["l1"], file: ByteSource): Claim[] {
  const claims: Claim[] = [
    { at: 0, length: header.clusterSize, what: "the header" },
    { at: l1.at, length: Math.min(l1.entries * 8, file.size - l1.at), what: "the L1 table" },
  ];
  if (l1.at !== header.l1.at) claims.push({ at: header.l1.at, length: header.l1.entries * 8, what: "the active L1 table" });
  if (header.refcountTable.place !== null) claims.push({ ...header.refcountTable.place, what: "the refcount table" });
  const { crypto } = header.extensions;
  if (crypto !== null && crypto.offset + crypto.length <= BigInt(file.size))
    claims.push({ at: Number(crypto.offset), length: Number(crypto.length), what: "the encryption header" });
  if (table.place !== null && table.problem === null) claims.push({ ...table.place, what: "the snapshot table" });
  return claims.filter(({ length }) => length > 0);
}

/**
 * L1 entries past the end of the disk hold the machine state of a snapshot while it is taken; QEMU before 1.0 left them there.
 * Without any snapshot they mean that `size` may be too small.
 */
function checkPastEnd(file: ByteSource, header: Header, used: number, table: SnapshotTable, warn: (text: string) => void): void {
  if (used === 0) return;
  if (header.size === 0)
    throw q.problem("corrupt", `size is 0, but ${used} L1 entries are in use`, { file: file.name, at: q.HEADER_V2.offsetOf("size") });
  if (table.list.length === 0) warn(`${used} L1 entries past the end of the disk are in use: the disk's size may be damaged.`);
}

function variantOf(header: Header): string {
  const parts = [`version ${header.version}`];
  if (header.compression === "zstd") parts.push("zstd");
  if (header.extendedL2) parts.push("extended L2");
  if (header.dataFile) parts.push(header.dataFileRaw ? "raw external data file" : "external data file");
  return parts.join(", ");
}

/** The names and order of `qemu-img info`. */
function detailsOf(header: Header, encryption: Encryption | null): Record<string, Json> {
  const compression = header.compression === "zstd" ? "zstd" : "zlib";
  const encrypt: Record<string, Json> = encryption === null ? {} : { encrypt: encryption.details };
  if (header.version === 2) return { compat: "0.10", "compression-type": compression, "refcount-bits": 16, ...encrypt };
  const { dataFileName } = header.extensions;
  const dataFile: Record<string, Json> = dataFileName === null || !header.dataFile ? {} : { "data-file": dataFileName };
  return {
    compat: "1.1",
    "compression-type": compression,
    "lazy-refcounts": header.lazyRefcounts,
    "refcount-bits": header.refcountBits,
    ...encrypt,
    ...dataFile,
    ...(header.dataFile ? { "data-file-raw": header.dataFileRaw } : {}),
    corrupt: header.corrupt,
    "extended-l2": header.extendedL2,
  };
}
