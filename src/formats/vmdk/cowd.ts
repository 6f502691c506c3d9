import { DiskError } from "../../core/errors.ts";
import type { ByteSource, ScanTable } from "../../core/model.ts";
import { bytes, struct, u32 } from "../../core/struct.ts";
import { readDirectory } from "./directory.ts";
import { sectorRuns } from "./hosted.ts";
import type { SparseExtent } from "./sparse.ts";
import { COWD_MAGIC, type FieldPlace, MOST_GRAIN, SECTOR, type SparseHeader, tableSpan } from "./spec.ts";

/** [1] "ESXi Host Sparse Extents": COWDisk_Header. All numbers have 32 bits, so neither disk nor file passes 2 TiB. */
export const CowdHeader = struct("le", {
  magicNumber: u32,
  version: u32,
  flags: u32,
  numSectors: u32,
  grainSize: u32,
  gdOffset: u32,
  numGDEntries: u32,
  freeSector: u32,
  /** Geometry of a disk without a parent, else the parent's name and generation: the descriptor has both, and counts. */
  origin: bytes(1028),
  generation: u32,
  name: bytes(60),
  description: bytes(512),
  savedGeneration: u32,
  reserved: bytes(8),
  uncleanShutdown: u32,
  padding: bytes(396),
});
type CowdFields = ReturnType<typeof CowdHeader.read>;

/** [1]: "The number of entries in a grain table … 4096". */
const TABLE_ENTRIES = 4096;
const VERSION = 1;

/** Opens the extent of a vmfsSparse disk, which ESX writes for snapshots up to 2 TiB. */
export async function openCowd(source: ByteSource, budget: { directoryBytes: number }, scanTable: ScanTable): Promise<SparseExtent> {
  const { name: file } = source;
  if (source.size < CowdHeader.bytes)
    throw new DiskError("corrupt", `vmdk: the file ends at byte ${source.size}, inside its header: it is truncated`, { file, at: 0 });
  const fields = CowdHeader.read(await source.read(0, CowdHeader.bytes));
  const header = toHeader(fields, file);
  const directory = await readDirectory(source, header, "directory", budget);
  const dirty = `${file} was not closed properly (uncleanShutdown): the last writes before that may be missing`;
  return {
    kind: "VMFSSPARSE",
    source,
    header,
    directory,
    // ESX makes room ahead of use.
    grainsEnd: Math.min(source.size, fields.freeSector * SECTOR),
    notes: header.dirty ? [{ severity: "warning", text: dirty }] : [],
    unsupported: [],
    runsOf: sectorRuns(header, scanTable),
  };
}

function toHeader(raw: CowdFields, file: string): SparseHeader {
  const fail = (field: keyof CowdFields, expected: string, code: "corrupt" | "unsupported" = "corrupt"): never => {
    throw new DiskError(code, `vmdk: ${field} is ${raw[field]}, expected ${expected}`, { file, at: CowdHeader.offsetOf(field) });
  };
  if (raw.magicNumber !== COWD_MAGIC) fail("magicNumber", `${COWD_MAGIC} ("COWD")`);
  if (raw.version !== VERSION) fail("version", `${VERSION}`, "unsupported");
  if (raw.numSectors === 0) fail("numSectors", "at least 1 sector");
  const grain = raw.grainSize * SECTOR;
  if (grain === 0 || grain > MOST_GRAIN || (raw.grainSize & (raw.grainSize - 1)) !== 0)
    fail("grainSize", `a power of two from 1 to ${MOST_GRAIN / SECTOR}`);
  const capacity = raw.numSectors * SECTOR;
  const tables = Math.ceil(capacity / tableSpan({ grain, tableEntries: TABLE_ENTRIES }));
  if (raw.numGDEntries < tables) fail("numGDEntries", `at least ${tables}: so many grain tables has a disk of ${raw.numSectors} sectors`);
  const field = (name: keyof CowdFields): FieldPlace => ({ name, at: CowdHeader.offsetOf(name) });
  return {
    length: CowdHeader.bytes,
    version: raw.version,
    flags: raw.flags,
    capacity,
    grain,
    tableEntries: TABLE_ENTRIES,
    descriptor: null,
    directory: raw.gdOffset * SECTOR,
    redundant: null,
    overHead: 0,
    dirty: raw.uncleanShutdown !== 0,
    compressed: false,
    markers: false,
    zeroedGrains: false,
    unknownFlags: 0,
    fields: { capacity: field("numSectors"), directory: field("gdOffset"), redundant: field("gdOffset") },
  };
}
