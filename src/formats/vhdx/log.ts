import type { ByteSource } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { guidText } from "../../core/uuid.ts";
import { checksumOf, type HeaderSection } from "./header.ts";
import type { Patch } from "./overlay.ts";
import {
  DataSector,
  DESCRIPTOR_SIGNATURE,
  ENTRY_SIGNATURE,
  LOG_SECTOR,
  LogDescriptor,
  LogEntry,
  problem,
  REGION_TABLE_PLACES,
  SECTOR_SIGNATURE,
  ZERO_SIGNATURE,
} from "./spec.ts";

/** The usual log has 1 MiB. It is held in memory twice: as it is, and as what it writes. */
const LONGEST_LOG = 32 << 20;
/** Writes of one replay: twice what a log of 1 MiB can hold of the smallest ones. */
const MOST_WRITES = 2 ** 16;
/** Entries of a sound log do not overlap, so that the whole log is hashed about once. */
const HASHED_LOGS = 8;

/** What the log holds that the file lacks. */
export interface Replay {
  /** Oldest first. */
  readonly patches: readonly Patch[];
  readonly entries: number;
  /** Size that the file has to have at least after the replay; what is added is zero. */
  readonly fileSize: number;
}

/** One sound entry. */
interface Entry {
  /** Position in the log. */
  readonly at: number;
  readonly fields: ReturnType<typeof LogEntry.read>;
  /** The whole entry, in one piece. */
  readonly bytes: Uint8Array;
}

/**
 * [MS-VHDX] 2.3: finds the active sequence of the log and gives what it writes, oldest first. Null when the log is empty.
 * An entry that was torn while it was written is no part of the sequence; when there is no sequence at all, the file cannot be
 * trusted ([MS-VHDX] 2.3.3: an error).
 */
export async function readLog(file: ByteSource, section: HeaderSection, compute: Compute): Promise<Replay | null> {
  const { log, logGuid } = section;
  if (logGuid === null) return null;
  if (log.length === 0) throw problem("corrupt", file.name, log.at, "logGuid says that the log is in use, but logLength is 0");
  if (log.length > LONGEST_LOG)
    throw problem("limit", file.name, log.at, `the log in use has ${log.length} bytes; at most ${LONGEST_LOG} are replayed`);
  const ring = new LogRing(await file.read(log.at, log.length), logGuid, compute);
  const sequence = ring.activeSequence();
  if (sequence === null)
    throw problem(
      "corrupt",
      file.name,
      log.at,
      `logGuid says that the log is in use, but it holds no valid sequence of entries; ${ring.fault ?? "it has no entry with this logGuid"}`,
    );
  return replay(file, log.at, sequence);
}

/** The circular log. */
class LogRing {
  /** Why the first entry that looks like one of this log's is none. */
  fault: string | null = null;
  private readonly log: Uint8Array;
  private readonly guid: string;
  private readonly compute: Compute;
  private hashed = 0;

  constructor(log: Uint8Array, guid: string, compute: Compute) {
    this.log = log;
    this.guid = guid;
    this.compute = compute;
  }

  /** [MS-VHDX] 2.3.3: of the valid sequences the one that ends with the greatest sequence number, from its tail on; oldest first. */
  activeSequence(): readonly Entry[] | null {
    let active: readonly Entry[] = [];
    for (let tail = 0; tail < this.log.length; ) {
      const { entries, next } = this.sequenceAt(tail);
      const newest = entries.at(-1);
      const from = entries.findIndex(({ at }) => at === newest?.fields.tail);
      if (newest !== undefined && from < 0) this.fault ??= `the entry at byte ${newest.at} of the log goes on from one that is not there`;
      else if (newest !== undefined && newest.fields.sequenceNumber > (active.at(-1)?.fields.sequenceNumber ?? 0n))
        active = entries.slice(from);
      // A sequence whose tail is not in it does not get it by starting later: both kinds are passed over whole.
      tail = Math.max(tail + LOG_SECTOR, next);
    }
    return active.length === 0 ? null : active;
  }

  /** Entries that follow each other with consecutive sequence numbers; `next`: where the first that does not would be, not wrapped. */
  private sequenceAt(tail: number): { readonly entries: readonly Entry[]; readonly next: number } {
    const entries: Entry[] = [];
    let head = tail;
    for (;;) {
      const entry = this.entryAt(head % this.log.length);
      const last = entries.at(-1);
      const follows = last === undefined || entry?.fields.sequenceNumber === last.fields.sequenceNumber + 1n;
      if (entry === null || !follows || head + entry.fields.entryLength - tail > this.log.length) return { entries, next: head };
      entries.push(entry);
      head += entry.fields.entryLength;
    }
  }

  /** The entry that begins there, if it is sound ([MS-VHDX] 2.3.1). */
  private entryAt(at: number): Entry | null {
    const fields = LogEntry.read(this.log, at);
    if (fields.signature !== ENTRY_SIGNATURE || guidText(fields.logGuid) !== this.guid) return null;
    const bytes = this.soundLength(fields) ? this.ringBytes(at, fields.entryLength) : null;
    const wrong =
      bytes === null ? "has a length or tail that cannot be" : (descriptorFault(bytes, fields) ?? this.checksumFault(bytes, fields));
    if (wrong === null) return { at, fields, bytes: bytes as Uint8Array };
    this.fault ??= `the entry at byte ${at} of the log ${wrong}`;
    return null;
  }

  private soundLength({ entryLength, tail, sequenceNumber, descriptorCount }: Entry["fields"]): boolean {
    const headerBytes = LogEntry.bytes + descriptorCount * LogDescriptor.bytes;
    return (
      entryLength % LOG_SECTOR === 0 &&
      entryLength <= this.log.length &&
      headerBytes <= entryLength &&
      tail % LOG_SECTOR === 0 &&
      tail < this.log.length &&
      sequenceNumber > 0n
    );
  }

  private ringBytes(at: number, length: number): Uint8Array {
    if (at + length <= this.log.length) return this.log.subarray(at, at + length);
    const out = new Uint8Array(length);
    out.set(this.log.subarray(at));
    out.set(this.log.subarray(0, at + length - this.log.length), this.log.length - at);
    return out;
  }

  private checksumFault(bytes: Uint8Array, { checksum }: Entry["fields"]): string | null {
    this.hashed += bytes.length;
    if (this.hashed > HASHED_LOGS * this.log.length) return "lies over others";
    return checksumOf(bytes.slice(), this.compute) === checksum ? null : "has a wrong checksum";
  }
}

/** [MS-VHDX] 2.3.1.2 to 2.3.1.4: every descriptor and data sector carries the entry's sequence number. */
function descriptorFault(bytes: Uint8Array, { sequenceNumber, descriptorCount }: Entry["fields"]): string | null {
  let sectorAt = firstSector(descriptorCount);
  for (let i = 0; i < descriptorCount; i++) {
    const descriptor = LogDescriptor.read(bytes, LogEntry.bytes + i * LogDescriptor.bytes);
    const { signature, fileOffset } = descriptor;
    if (signature !== ZERO_SIGNATURE && signature !== DESCRIPTOR_SIGNATURE) return `has a descriptor ${i} of no known kind`;
    if (descriptor.sequenceNumber !== sequenceNumber) return `has a descriptor ${i} with another sequenceNumber`;
    if (fileOffset % BigInt(LOG_SECTOR) !== 0n) return `has a descriptor ${i} whose fileOffset is not a multiple of ${LOG_SECTOR}`;
    if (signature === ZERO_SIGNATURE) {
      if (zeroLength(descriptor.data) % BigInt(LOG_SECTOR) !== 0n)
        return `has a descriptor ${i} whose zeroLength is not a multiple of ${LOG_SECTOR}`;
      continue;
    }
    if (sectorAt + LOG_SECTOR > bytes.length) return `has fewer data sectors than descriptors for them`;
    const sector = DataSector.read(bytes, sectorAt);
    const sectorNumber = (BigInt(sector.sequenceHigh) << 32n) | BigInt(sector.sequenceLow);
    if (sector.signature !== SECTOR_SIGNATURE || sectorNumber !== sequenceNumber) return `has a torn data sector`;
    sectorAt += LOG_SECTOR;
  }
  return null;
}

/** Position in an entry of its first data sector. */
const firstSector = (descriptorCount: number): number =>
  Math.ceil((LogEntry.bytes + descriptorCount * LogDescriptor.bytes) / LOG_SECTOR) * LOG_SECTOR;

const zeroLength = (data: Uint8Array): bigint => new DataView(data.buffer, data.byteOffset).getBigUint64(0, true);

function replay(file: ByteSource, logAt: number, sequence: readonly Entry[]): Replay {
  const patches: Patch[] = [];
  let fileSize = file.size;
  for (const { at, fields } of sequence) {
    const { flushedFileOffset, lastFileOffset } = fields;
    if (flushedFileOffset > BigInt(file.size))
      throw problem(
        "corrupt",
        file.name,
        logAt + at,
        `flushedFileOffset of a log entry is ${flushedFileOffset}, but the file ends at byte ${file.size}: it is truncated`,
      );
    if (lastFileOffset > BigInt(Number.MAX_SAFE_INTEGER))
      throw problem("corrupt", file.name, logAt + at, `lastFileOffset of a log entry is ${lastFileOffset}, past 2^53`);
    fileSize = Math.max(fileSize, Number(lastFileOffset));
  }
  if (sequence.reduce((sum, { fields }) => sum + fields.descriptorCount, 0) > MOST_WRITES)
    throw problem("limit", file.name, logAt, `the log in use holds more than ${MOST_WRITES} writes`);
  const limit = BigInt(Math.ceil(fileSize / LOG_SECTOR) * LOG_SECTOR);
  for (const { at, fields, bytes } of sequence)
    for (const { start, length, data } of writesOf(bytes, fields.descriptorCount)) {
      // The log never holds the headers: which of them is current decides what the log is.
      if (start < BigInt(REGION_TABLE_PLACES[0]) || start + length > limit)
        throw problem("corrupt", file.name, logAt + at, `a log entry writes to ${start}+${length}, outside the file or over its headers`);
      if (length > 0n) patches.push({ start: Number(start), end: Number(start + length), data });
    }
  // A file that does not end on a log sector may grow by the rest of the last one.
  return { patches, entries: sequence.length, fileSize: patches.reduce((size, { end }) => Math.max(size, end), fileSize) };
}

function* writesOf(bytes: Uint8Array, descriptorCount: number): Generator<{ start: bigint; length: bigint; data: Uint8Array | null }> {
  let sectorAt = firstSector(descriptorCount);
  for (let i = 0; i < descriptorCount; i++) {
    const {
      signature,
      trailingBytes,
      data: leading,
      fileOffset: start,
    } = LogDescriptor.read(bytes, LogEntry.bytes + i * LogDescriptor.bytes);
    if (signature === ZERO_SIGNATURE) yield { start, length: zeroLength(leading), data: null };
    else {
      // The sector's first 8 and last 4 bytes make room for what marks a data sector; the descriptor keeps them.
      const data = bytes.slice(sectorAt, sectorAt + LOG_SECTOR);
      data.set(leading, 0);
      data.set(trailingBytes, LOG_SECTOR - 4);
      yield { start, length: BigInt(LOG_SECTOR), data };
      sectorAt += LOG_SECTOR;
    }
  }
}
