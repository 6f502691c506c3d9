import { DiskError } from "../../core/errors.ts";
import { Chunk, KIND_COMMENT, KIND_IGNORE, KIND_TERMINATOR, KIND_ZERO, SECTOR, TABLE_SIGNATURE, TABLE_VERSION, TableHead } from "./spec.ts";

/** One block table ("mish"), of one partition or of the whole disk. */
export interface BlockTable {
  readonly name: string;
  /** Where it stands in the file (of a property list: where its base64 text begins). */
  readonly place: number;
  readonly view: DataView;
  readonly head: ReturnType<typeof TableHead.read>;
  /** First byte of the disk that it tells about, and of the file that its chunks count from. */
  readonly start: number;
  readonly dataAt: number;
}

/** Of the disk, bytes: past this nothing can be counted exactly. */
export const MOST_BYTES = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR) * SECTOR;

/** Checks a table's head; `dataForkAt`: byte of the file that data offsets count from. */
export function readTable(bytes: Uint8Array, name: string, file: string, place: number, dataForkAt: number): BlockTable {
  const refuse = (field: keyof BlockTable["head"], value: string, expected: string) =>
    new DiskError("corrupt", `dmg: block table "${name}": ${field} is ${value}, expected ${expected}`, { file, at: place });
  if (bytes.length < TableHead.bytes)
    throw new DiskError("corrupt", `dmg: block table "${name}" has ${bytes.length} bytes, its head alone needs ${TableHead.bytes}`, {
      file,
      at: place,
    });
  const head = TableHead.read(bytes);
  if (head.signature !== TABLE_SIGNATURE) throw refuse("signature", `0x${head.signature.toString(16)}`, '"mish"');
  if (head.version !== TABLE_VERSION) throw refuse("version", `${head.version}`, `${TABLE_VERSION}`);
  const room = Math.floor((bytes.length - TableHead.bytes) / Chunk.bytes);
  if (head.chunkCount > room) throw refuse("chunkCount", `${head.chunkCount}`, `at most ${room}: the table has ${bytes.length} bytes`);
  if (head.firstSector > BigInt(MOST_BYTES / SECTOR)) throw refuse("firstSector", `${head.firstSector}`, "a disk offset below 2^53 bytes");
  if (head.dataOffset > BigInt(MOST_BYTES)) throw refuse("dataOffset", `${head.dataOffset}`, "less than 2^53");
  return {
    name,
    place,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
    head,
    start: Number(head.firstSector) * SECTOR,
    dataAt: dataForkAt + Number(head.dataOffset),
  };
}

/** One entry of a table. Numbers past 2^53 come out inexact but large. */
export interface ChunkEntry {
  readonly index: number;
  readonly kind: number;
  /** Bytes of the disk. */
  readonly start: number;
  readonly length: number;
  /** Bytes of the file. */
  readonly at: number;
  readonly packed: number;
}

const ENTRY = {
  sector: Chunk.offsetOf("sector"),
  sectors: Chunk.offsetOf("sectors"),
  offset: Chunk.offsetOf("offset"),
  length: Chunk.offsetOf("length"),
} as const;

/** Entry `index` of a table, which must have it. */
export function chunkAt({ view, start, dataAt }: BlockTable, index: number): ChunkEntry {
  const at = TableHead.bytes + index * Chunk.bytes;
  return {
    index,
    kind: view.getUint32(at),
    start: start + wide(view, at + ENTRY.sector) * SECTOR,
    length: wide(view, at + ENTRY.sectors) * SECTOR,
    at: dataAt + wide(view, at + ENTRY.offset),
    packed: wide(view, at + ENTRY.length),
  };
}

const wide = (view: DataView, at: number): number => view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);

/** The entries that say something about the disk, in the table's order, up to the terminator. */
export function* chunksOf(table: BlockTable): Generator<ChunkEntry> {
  for (let index = 0; index < table.head.chunkCount; index++) {
    const chunk = chunkAt(table, index);
    if (chunk.kind === KIND_TERMINATOR) return;
    if (chunk.kind !== KIND_COMMENT && chunk.length > 0) yield chunk;
  }
}

/** Whether the table ends as it should: a terminator as its last entry. */
export function isTerminated({ view, head }: BlockTable): boolean {
  if (head.chunkCount === 0) return false;
  const last = TableHead.bytes + (head.chunkCount - 1) * Chunk.bytes;
  for (let entry = TableHead.bytes; entry < last; entry += Chunk.bytes) if (view.getUint32(entry) === KIND_TERMINATOR) return false;
  return view.getUint32(last) === KIND_TERMINATOR;
}

export const hasData = (kind: number): boolean => kind !== KIND_ZERO && kind !== KIND_IGNORE;
