import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Note, ScanTable, TableRuns } from "../../core/model.ts";
import { type Directory, readDirectory } from "./directory.ts";
import type { SparseExtent } from "./sparse.ts";
import { GTE_ZEROED, Header, MARKER_EOS, MARKER_FOOTER, Marker, parseHeader, SECTOR, type SparseHeader } from "./spec.ts";

/** [1] "Hosted Sparse Extents"; `budget` bounds the bytes of all directories of a disk together. */
export async function openHosted(source: ByteSource, budget: { directoryBytes: number }, scanTable: ScanTable): Promise<SparseExtent> {
  const { name: file } = source;
  if (source.size < Header.bytes)
    throw new DiskError("corrupt", `vmdk: the file ends at byte ${source.size}, inside its header: it is truncated`, { file, at: 0 });
  const first = parseHeader(await source.read(0, Header.bytes), 0, file);
  const header = first.directory === null ? await readFooter(source, first) : first;
  if (header.overHead > source.size)
    throw new DiskError(
      "corrupt",
      `vmdk: overHead is ${header.overHead / SECTOR}, but the file ends at byte ${source.size}: it is truncated`,
      {
        file,
        at: Header.offsetOf("overHead"),
      },
    );
  const notes: Note[] = [];
  if (header.dirty || first.dirty)
    notes.push({
      severity: "warning",
      text: `${file} was not closed properly (uncleanShutdown): the last writes before that may be missing`,
    });
  if (header.unknownFlags !== 0)
    notes.push({ severity: "warning", text: `${file} has unknown flags 0x${header.unknownFlags.toString(16)}` });
  if (first.directory !== null && header.compressed && header.markers && !(await endsWithFooter(source)))
    notes.push({
      severity: "info",
      text: `${file} has no footer and no end-of-stream marker (qemu-img leaves them out): VMware's tools and 7-Zip may refuse it`,
    });
  const directory = await chooseDirectory(source, header, budget, notes);
  return {
    kind: "SPARSE",
    source,
    header,
    directory,
    grainsEnd: source.size,
    notes,
    unsupported: [],
    runsOf: sectorRuns(header, scanTable),
  };
}

/** [1] "Stream-Optimized Compressed Sparse Extents": footer marker, footer and end-of-stream marker end the file. */
async function readFooter(source: ByteSource, header: SparseHeader): Promise<SparseHeader> {
  const { name: file, size } = source;
  const at = size - 3 * SECTOR;
  if (at < Header.bytes || !(await endsWithFooter(source)))
    throw new DiskError(
      "corrupt",
      `vmdk: gdOffset is -1, but the file does not end with the footer that has the true one: it is truncated or still being written`,
      { file, at: Header.offsetOf("gdOffset") },
    );
  const footer = parseHeader(await source.read(at + SECTOR, Header.bytes), at + SECTOR, file);
  const same = (["version", "flags", "capacity", "grain", "compressed"] as const).find((field) => footer[field] !== header[field]);
  if (same !== undefined || footer.directory === null)
    throw new DiskError("corrupt", `vmdk: the footer's ${same ?? "gdOffset"} contradicts the header`, { file, at: at + SECTOR });
  return { ...footer, descriptor: header.descriptor };
}

async function endsWithFooter(source: ByteSource): Promise<boolean> {
  const at = source.size - 3 * SECTOR;
  if (at < Header.bytes || at % SECTOR !== 0) return false;
  const tail = await source.read(at, 3 * SECTOR);
  const footer = Marker.read(tail);
  const end = Marker.read(tail, 2 * SECTOR);
  return footer.size === 0 && footer.type === MARKER_FOOTER && end.val === 0n && end.size === 0 && end.type === MARKER_EOS;
}

/** The primary directory; the redundant one only when the primary cannot be used and the redundant one is sound. */
async function chooseDirectory(
  source: ByteSource,
  header: SparseHeader,
  budget: { directoryBytes: number },
  notes: Note[],
): Promise<Directory> {
  try {
    return await readDirectory(source, header, "directory", budget);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "corrupt" || header.redundant === null) throw error;
    const redundant = await readDirectory(source, header, "redundant", budget).catch((second: unknown) => {
      if (second instanceof DiskError && second.code === "corrupt") return null;
      throw second;
    });
    if (redundant === null) throw error;
    notes.push({
      severity: "warning",
      text: `${source.name}: the grain directory is damaged, its redundant copy is used: ${error.message}`,
    });
    return redundant;
  }
}

/** Entries are sector numbers of 32 bits: those of hosted sparse and of COWD extents. */
export function sectorRuns({ grain, zeroedGrains }: SparseHeader, scanTable: ScanTable): (table: Uint8Array) => TableRuns {
  const layout = {
    entryBytes: 4,
    endian: "le",
    mask: 0xffff_ffffn,
    scale: SECTOR,
    base: 0,
    unit: grain,
    hole: 0n,
    zero: zeroedGrains ? BigInt(GTE_ZEROED) : null,
    zeroBits: 0n,
    packedBits: 0n,
  } as const;
  return (table) => scanTable(table, layout);
}
