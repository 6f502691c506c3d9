import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource, Note } from "../../core/model.ts";
import {
  CLOSED,
  ENTRY_BYTES,
  FLAG_EMPTY,
  Header,
  IN_USE,
  MAGIC_CLUSTERS,
  MAGIC_SECTORS,
  MOST_TRACKS,
  SECTOR,
  textOf,
  VERSION,
} from "./spec.ts";

export interface ImageHeader {
  readonly fields: ReturnType<typeof Header.read>;
  readonly magic: string;
  /** Virtual size. */
  readonly size: number;
  /** Bytes of disk and of file per cluster: any number of sectors. */
  readonly unit: number;
  /** Entries of the BAT; the disk may need fewer. */
  readonly entries: number;
  /** Bytes of file per unit of a BAT entry. */
  readonly scale: number;
  /** Where the data area begins; clusters lie at whole multiples of `unit` from here. */
  readonly dataAt: number;
  /** Where the format extension lies; 0: there is none. */
  readonly extensionAt: bigint;
  readonly notes: readonly Note[];
}

/** The header, with every field that is relied on held against the others and the file. [IMAGE] Header */
export async function readHeader(file: ByteSource): Promise<ImageHeader> {
  if (file.size === 0) throw new DiskError("corrupt", `parallels: ${file.name} is empty`, { file: file.name, at: 0 });
  const fields = Header.read(await file.read(0, Header.bytes));
  const refuse = (code: DiskErrorCode, field: keyof typeof fields, expected: string): never => {
    const shown = field === "magic" ? JSON.stringify(magic) : String(fields[field]);
    throw new DiskError(code, `parallels: ${field} of ${file.name} is ${shown}, expected ${expected}`, {
      file: file.name,
      at: Header.offsetOf(field),
    });
  };
  const magic = textOf(fields.magic);
  const countsClusters = magic === MAGIC_CLUSTERS;
  if (!countsClusters && magic !== MAGIC_SECTORS) refuse("corrupt", "magic", `"${MAGIC_SECTORS}" or "${MAGIC_CLUSTERS}"`);
  if (fields.version !== VERSION) refuse("unsupported", "version", `${VERSION}`);
  const { tracks, nb_bat_entries: entries } = fields;
  if (tracks === 0 || tracks > MOST_TRACKS) refuse("corrupt", "tracks", `1 to ${MOST_TRACKS} sectors`);
  const unit = tracks * SECTOR;
  const sectors = countsClusters ? fields.nb_sectors : fields.nb_sectors & 0xffffffffn;
  if (sectors === 0n && entries > 0) refuse("corrupt", "nb_sectors", `more than 0: the block table has ${entries} entries`);
  const needed = (sectors + BigInt(tracks) - 1n) / BigInt(tracks);
  if (BigInt(entries) < needed)
    refuse("corrupt", "nb_bat_entries", `at least ${needed}: a disk of ${sectors} sectors in clusters of ${tracks}`);
  if (sectors > BigInt(Math.floor(Number.MAX_SAFE_INTEGER / SECTOR))) refuse("limit", "nb_sectors", "a disk of less than 2^53 bytes");
  const tableEnd = Header.bytes + entries * ENTRY_BYTES;
  if (tableEnd > file.size)
    throw new DiskError("corrupt", `parallels: the block table of ${file.name} ends at byte ${tableEnd}, but the file at ${file.size}`, {
      file: file.name,
      at: Header.offsetOf("nb_bat_entries"),
    });
  const leastData = Math.ceil(tableEnd / SECTOR);
  const { data_off: dataOff } = fields;
  const dataSector = dataOff === 0 && !countsClusters ? leastData : dataOff;
  if (dataSector < leastData) refuse("corrupt", "data_off", `at least sector ${leastData}, where the block table has ended`);
  if (dataSector * SECTOR > file.size) refuse("corrupt", "data_off", `a sector of the file, which has ${file.size} bytes: it is truncated`);
  if (countsClusters && dataOff % tracks !== 0) refuse("corrupt", "data_off", `a multiple of the cluster size of ${tracks} sectors`);
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  if (fields.in_use === IN_USE)
    warn(`${file.name} is marked as in use: it was not closed properly, or a virtual machine runs on it; its last writes may be missing.`);
  else if (fields.in_use !== CLOSED && fields.in_use !== 0) warn(`in_use of ${file.name} is ${fields.in_use}, which has no meaning.`);
  if ((fields.flags & FLAG_EMPTY) !== 0) warn(`${file.name} is marked as empty; its block table is read all the same.`);
  if ((fields.flags & ~FLAG_EMPTY) !== 0) warn(`flags of ${file.name} is ${fields.flags}: bits without a meaning are set.`);
  if (fields.nb_sectors !== sectors)
    warn(`nb_sectors of ${file.name} is ${fields.nb_sectors}: only its lower half counts in an image of this kind.`);
  if (BigInt(entries) > needed) warn(`The block table of ${file.name} has ${entries} entries, but the disk needs only ${needed}.`);
  return {
    fields,
    magic,
    size: Number(sectors) * SECTOR,
    unit,
    entries,
    scale: countsClusters ? unit : SECTOR,
    dataAt: dataSector * SECTOR,
    extensionAt: fields.ext_off * BigInt(SECTOR),
    notes,
  };
}
