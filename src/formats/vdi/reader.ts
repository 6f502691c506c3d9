import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import {
  type ByteSource,
  type Extent,
  type FileReference,
  type Note,
  type OpenContext,
  RUN_DATA,
  RUN_HOLE,
  type Volume,
} from "../../core/model.ts";
import { runOf } from "../../core/table-runs.ts";
import { guidText } from "../../core/uuid.ts";
import { BlockTable, type TablePiece, type TableShape } from "./block-table.ts";
import {
  ENTRY_BYTES,
  HEADER_SIZE_1,
  Header,
  LARGEST_BLOCK,
  PREHEADER_BYTES,
  SECTOR,
  SIGNATURE,
  TYPE_DIFFERENCING,
  TYPE_DYNAMIC,
  TYPE_STATIC,
  TYPE_UNDO,
  VERSION_1_1,
} from "./spec.ts";

/** Extents of one answer. */
const MOST_EXTENTS = 4096;

export interface VdiHeader extends TableShape {
  readonly fields: ReturnType<typeof Header.read>;
  /** Virtual size, whole sectors. */
  readonly size: number;
}

/** The header, with every field that is relied on checked against the others and the file. */
export async function readHeader(file: ByteSource): Promise<VdiHeader> {
  if (file.size === 0) throw new DiskError("corrupt", `vdi: ${file.name} is empty`, { file: file.name, at: 0 });
  const fields = Header.read(await file.read(0, Header.bytes));
  const refuse = (code: DiskErrorCode, field: keyof typeof fields, expected: string): never => {
    const value = fields[field];
    const shown = typeof value === "number" && (field === "signature" || field === "version") ? `0x${value.toString(16)}` : String(value);
    throw new DiskError(code, `vdi: ${field} is ${shown}, expected ${expected}`, { file: file.name, at: Header.offsetOf(field) });
  };
  const { signature, version, headerSize, imageType, mapAt, dataAt, sectorSize, diskSize, blockSize, blockExtra, blocks } = fields;
  if (signature !== SIGNATURE) refuse("corrupt", "signature", `0x${SIGNATURE.toString(16)}`);
  if (version !== VERSION_1_1) refuse("unsupported", "version", `0x${VERSION_1_1.toString(16)} (1.1)`);
  if (imageType < TYPE_DYNAMIC || imageType > TYPE_DIFFERENCING)
    refuse("corrupt", "imageType", "1 (dynamic), 2 (static), 3 (undo) or 4 (differencing)");
  if (sectorSize !== SECTOR) refuse("unsupported", "sectorSize", `${SECTOR}`);
  if (mapAt % SECTOR !== 0) refuse("corrupt", "mapAt", `a multiple of ${SECTOR}`);
  if (headerSize < HEADER_SIZE_1 || PREHEADER_BYTES + headerSize > mapAt)
    refuse("corrupt", "headerSize", `at least ${HEADER_SIZE_1}, ending before the block map at byte ${mapAt}`);
  if (blockSize < SECTOR || blockSize % SECTOR !== 0 || blockSize > LARGEST_BLOCK)
    refuse("corrupt", "blockSize", `a multiple of ${SECTOR} up to ${LARGEST_BLOCK}`);
  if (blockExtra % SECTOR !== 0 || blockExtra > LARGEST_BLOCK)
    refuse("corrupt", "blockExtra", `a multiple of ${SECTOR} up to ${LARGEST_BLOCK}`);
  if (diskSize > BigInt(Number.MAX_SAFE_INTEGER - SECTOR)) refuse("limit", "diskSize", "less than 2^53 bytes");
  const size = Math.ceil(Number(diskSize) / SECTOR) * SECTOR;
  const needed = Math.ceil(size / blockSize);
  if (blocks !== needed) refuse("corrupt", "blocks", `${needed}: ${size} bytes of disk in blocks of ${blockSize}`);
  const mapEnd = mapAt + blocks * ENTRY_BYTES;
  if (mapEnd > file.size)
    throw new DiskError("corrupt", `vdi: the block map ends at byte ${mapEnd}, but the file at ${file.size}: it is truncated`, {
      file: file.name,
      at: mapAt,
    });
  if (dataAt % SECTOR !== 0 || dataAt < mapEnd)
    refuse("corrupt", "dataAt", `a multiple of ${SECTOR}, not before the end of the block map at ${mapEnd}`);
  const isLayer = imageType === TYPE_DIFFERENCING || imageType === TYPE_UNDO;
  if (isLayer && guidText(fields.parentUuid) === null)
    refuse(
      "corrupt",
      "parentUuid",
      `the id of the parent: imageType is ${imageType} (${imageType === TYPE_UNDO ? "undo" : "differencing"})`,
    );
  return { fields, size, mapAt, base: dataAt + blockExtra, stride: blockSize + blockExtra, unit: blockSize, blocks };
}

/** Opens dynamic, static, undo and differencing images; the last two are one layer over the parent that they state. */
export async function openVdi(file: ByteSource, { compute }: OpenContext): Promise<Volume> {
  const header = await readHeader(file);
  const { fields, size, unit } = header;
  const parentId = guidText(fields.parentUuid);
  const table = new BlockTable(file, header, compute.scanTable);
  return {
    format: "vdi",
    variant:
      parentId !== null
        ? fields.imageType === TYPE_UNDO
          ? "undo"
          : "differencing"
        : fields.imageType === TYPE_STATIC
          ? "static"
          : "dynamic",
    size,
    unit,
    files: [file],
    parent: parentId === null ? null : parentOf(parentId, guidText(fields.parentModifyUuid)),
    identity: guidText(fields.uuid),
    version: guidText(fields.modifyUuid),
    snapshots: [],
    unsupported: [],
    notes: notesOn(file, header, table),
    encrypted: false,
    details: {
      "block-size": unit,
      blocks: header.blocks,
      "blocks-allocated": fields.blocksAllocated,
      uuid: guidText(fields.uuid),
      "modify-uuid": guidText(fields.modifyUuid),
      "parent-uuid": parentId,
      "parent-modify-uuid": guidText(fields.parentModifyUuid),
    },
    extents: extentsOf(file, header, table),
  };
}

/** A VDI names its parent by id alone; VirtualBox gives the file of a snapshot the name `{id}.vdi`. */
const parentOf = (id: string, version: string | null): FileReference => ({
  role: "parent",
  name: `{${id}}.vdi`,
  id,
  format: "vdi",
  version,
});

/** The header has no name for the parent. */
function noteOnParent(id: string, version: string | null): Note {
  const made = version === null ? "" : ` in its version ${version}`;
  const text = `The parent is the VDI with the UUID ${id}${made}. It is known by that: its file may have any name.`;
  return { text, severity: "info" };
}

/** VirtualBox and qemu keep the file exactly as long as its blocks need: anything else means that a field or the file was altered. */
function notesOn(file: ByteSource, { fields, size, stride, blocks }: VdiHeader, table: BlockTable): Note[] {
  const parentId = guidText(fields.parentUuid);
  const notes: Note[] = parentId === null ? [] : [noteOnParent(parentId, guidText(fields.parentModifyUuid))];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  if (fields.diskSize !== BigInt(size)) warn(`The disk's ${fields.diskSize} bytes are not a multiple of ${SECTOR}; ${size} are read.`);
  if (fields.blocksAllocated > blocks)
    warn(`The header counts ${fields.blocksAllocated} allocated blocks, but the disk has only ${blocks}.`);
  const expected = fields.dataAt + fields.blocksAllocated * stride;
  if (file.size < expected)
    warn(`The file has ${file.size} bytes, but its ${fields.blocksAllocated} blocks need ${expected}: it may be cut off.`);
  if (file.size > expected) warn(`The file has ${file.size} bytes, but its ${fields.blocksAllocated} blocks need only ${expected}.`);
  if (!table.tracked) warn("The file has too many blocks to look for blocks that are used twice.");
  return notes;
}

function extentsOf(file: ByteSource, { unit, size, mapAt }: VdiHeader, table: BlockTable): Volume["extents"] {
  return async (start, length, signal) => {
    signal?.throwIfAborted();
    const { runs, first, shared } = await table.piece(Math.floor(start / unit));
    const out: Extent[] = [];
    const end = start + length;
    let at = start;
    for (let run = runOf(runs, Math.floor(start / unit) - first); run < runs.length && at < end && out.length < MOST_EXTENTS; run++) {
      const runStart = (first + (runs.first[run] as number)) * unit;
      const count = Math.min(end, runStart + (runs.count[run] as number) * unit) - at;
      if (runs.kind[run] !== RUN_DATA) {
        out.push({ kind: runs.kind[run] === RUN_HOLE ? "hole" : "zero", start: at, length: count });
        at += count;
        continue;
      }
      const position = (runs.at[run] as number) + (at - runStart);
      const sound = Math.min(beforeShared(shared, first, at, count, unit), insideFile(file.size, at, count, position, unit));
      if (sound > 0) out.push({ kind: "raw", start: at, length: sound, file: 0, at: position });
      if (out.length === 0) {
        const block = Math.floor(at / unit);
        const why = shared?.has(block - first)
          ? "points to a block that another entry uses as well"
          : `puts the block's data at byte ${position - (at % unit)}, but the file ends at ${file.size}`;
        throw new DiskError("corrupt", `vdi: block map entry ${block} ${why}`, {
          file: file.name,
          at: mapAt + block * ENTRY_BYTES,
          guest: { start: block * unit, length: Math.min(unit, size - block * unit) },
        });
      }
      if (sound < count) return out;
      at += count;
    }
    return out;
  };
}

/** Of `length` bytes of disk at `start`: those before the first block that is marked as shared. */
function beforeShared(shared: TablePiece["shared"], first: number, start: number, length: number, unit: number): number {
  if (shared === null) return length;
  for (let block = Math.floor(start / unit); block * unit < start + length; block++)
    if (shared.has(block - first)) return Math.max(0, block * unit - start);
  return length;
}

/** Of `length` bytes of disk at `start`, held at `position`: the whole blocks that end inside the file, or all. */
function insideFile(fileSize: number, start: number, length: number, position: number, unit: number): number {
  if (position + length <= fileSize) return length;
  return Math.max(0, Math.floor((start + fileSize - position) / unit) * unit - start);
}
