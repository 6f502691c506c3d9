import { DiskError } from "../core/errors.ts";
import { bytes, struct, u8, u16, u32, u64exact } from "../core/struct.ts";
import { fieldFaults, isPowerOfTwo, notReliable, type Part, type PartPages } from "./free-map.ts";
import {
  ATTRIBUTE_LIST,
  type Attribute,
  DATA,
  type DataRun,
  type FileRecord,
  readRecord,
  undoFixups,
  VOLUME_INFORMATION,
} from "./free-ntfs-records.ts";

const BOOT = struct("le", {
  jump: bytes(3),
  oem_id: bytes(8),
  bytes_per_sector: u16,
  sectors_per_cluster: u8,
  unused: bytes(26),
  number_of_sectors: u64exact,
  mft_lcn: u64exact,
  mftmirr_lcn: u64exact,
  clusters_per_mft_record: u8,
  rest: bytes(445),
  end_of_sector_marker: u16,
});
const MARKER = 0xaa55;
const OEM_ID = "NTFS    ";

export interface NtfsBoot {
  readonly clusterBytes: number;
  /** Whole clusters; what lies behind the last (the copy of the boot sector) belongs to none. */
  readonly clusters: number;
  readonly recordBytes: number;
  /** Bytes of the partition. */
  readonly mftAt: number;
  readonly mirrorAt: number;
}

const RECORDS = { $MFT: 0, $MFTMirr: 1, $LogFile: 2, $Volume: 3, $Bitmap: 6 } as const;
type RecordName = keyof typeof RECORDS;
const MIRRORED = 4;
/** Records that always lie at the table's start. */
const FIRST_RECORDS = 16;

/** VOLUME_IS_DIRTY, _RESIZE_LOG_FILE, _UPGRADE_ON_MOUNT, _REPAIR_OBJECT_ID, _CHKDSK_UNDERWAY, _MODIFIED_BY_CHKDSK. */
const UNCLEAN_FLAGS = 0xc027;
const VOLUME_FLAGS_AT = 10;

/** Validates the boot sector and what leads to $Bitmap; refuses a volume that was not shut down cleanly. */
export async function openNtfs(pages: PartPages, signal?: AbortSignal) {
  const { part } = pages;
  const boot = bootOf(await pages.bytes(0, BOOT.bytes, signal), part);
  const records = {} as Record<RecordName, FileRecord>;
  for (const name of Object.keys(RECORDS) as RecordName[]) records[name] = await recordOf(name, boot, pages, signal);
  const mft = dataOf("$MFT", records.$MFT, boot, part);
  if (mft.runs[0]?.lcn !== boot.mftAt / boot.clusterBytes || mft.runs[0].length * boot.clusterBytes < FIRST_RECORDS * boot.recordBytes)
    throw new DiskError("corrupt", `${part.name}: ntfs: $MFT does not begin where the boot sector says`, { at: boot.mftAt });
  if (dataOf("$MFTMirr", records.$MFTMirr, boot, part).runs[0]?.lcn !== boot.mirrorAt / boot.clusterBytes)
    throw new DiskError("corrupt", `${part.name}: ntfs: $MFTMirr does not begin where the boot sector says`, { at: boot.mirrorAt });
  requireCleanVolume(records.$Volume, part);
  await requireNoShadows(pages, signal);
  await requireCleanLog(dataOf("$LogFile", records.$LogFile, boot, part), boot, pages, signal);
  return { boot, mft: records.$MFT, bitmap: bitmapRuns(records.$Bitmap, boot, part) };
}

function bootOf(sector: Uint8Array, part: Part): NtfsBoot {
  const boot = BOOT.read(sector);
  const wrong = fieldFaults("ntfs", part, BOOT, 0);
  const oem = String.fromCharCode(...boot.oem_id);
  if (oem !== OEM_ID) throw wrong("oem_id", JSON.stringify(oem), JSON.stringify(OEM_ID));
  if (boot.end_of_sector_marker !== MARKER) throw wrong("end_of_sector_marker", boot.end_of_sector_marker, String(MARKER));
  const sector_bytes = boot.bytes_per_sector;
  if (!isPowerOfTwo(sector_bytes) || sector_bytes < 256 || sector_bytes > 4096)
    throw wrong("bytes_per_sector", sector_bytes, "a power of two from 256 to 4096");
  // Above 128 it is the negative of a power of two, for clusters past 64 KiB.
  const perCluster = boot.sectors_per_cluster > 128 ? 2 ** (256 - boot.sectors_per_cluster) : boot.sectors_per_cluster;
  const clusterBytes = perCluster * sector_bytes;
  if (!isPowerOfTwo(perCluster) || clusterBytes > 2 << 20)
    throw wrong("sectors_per_cluster", boot.sectors_per_cluster, "clusters of at most 2 MiB");
  const sectors = Number(boot.number_of_sectors);
  if (sectors < perCluster || sectors * sector_bytes > part.length)
    throw wrong("number_of_sectors", boot.number_of_sectors, `at most ${Math.floor(part.length / sector_bytes)}`);
  const clusters = Math.floor(sectors / perCluster);
  const perRecord = boot.clusters_per_mft_record;
  const recordBytes = perRecord > 128 ? 2 ** (256 - perRecord) : perRecord * clusterBytes;
  if (!isPowerOfTwo(recordBytes) || recordBytes < 512 || recordBytes > 65536)
    throw wrong("clusters_per_mft_record", perRecord, "records of 512 bytes to 64 KiB");
  const place = (field: "mft_lcn" | "mftmirr_lcn"): number => {
    const lcn = Number(boot[field]);
    if (lcn === 0 || lcn * clusterBytes + MIRRORED * recordBytes > clusters * clusterBytes)
      throw wrong(field, boot[field], `1 to ${clusters - 1}`);
    return lcn * clusterBytes;
  };
  return { clusterBytes, clusters, recordBytes, mftAt: place("mft_lcn"), mirrorAt: place("mftmirr_lcn") };
}

/** One of the first records; those that have a copy have to agree with it. */
async function recordOf(name: RecordName, boot: NtfsBoot, pages: PartPages, signal?: AbortSignal): Promise<FileRecord> {
  const number = RECORDS[name];
  const { recordBytes, mftAt, mirrorAt } = boot;
  const what = `${pages.part.name}: ntfs: ${name} at byte ${mftAt + number * recordBytes}`;
  const record = readRecord(await pages.bytes(mftAt + number * recordBytes, recordBytes, signal), what);
  if (!record.isInUse || record.base !== null) throw new DiskError("corrupt", `${what} is not in use`);
  if (number >= MIRRORED) return record;
  const copy = readRecord(await pages.bytes(mirrorAt + number * recordBytes, recordBytes, signal), `${what}, its copy`);
  const isSame = copy.content.length === record.content.length && copy.content.every((byte, i) => byte === record.content[i]);
  if (!isSame) throw new DiskError("corrupt", `${what} differs from its copy at byte ${mirrorAt + number * recordBytes}`);
  return record;
}

function dataOf(name: RecordName, record: FileRecord, { clusters }: NtfsBoot, part: Part): Attribute {
  const data = record.attributes.find(({ type, isNamed }) => type === DATA && !isNamed);
  if (data === undefined || data.value !== null || data.runs[0]?.vcn !== 0)
    throw new DiskError("corrupt", `${part.name}: ntfs: ${name} has no data of its own`);
  for (const { lcn, length } of data.runs)
    if (lcn !== null && lcn + length > clusters)
      throw new DiskError("corrupt", `${part.name}: ntfs: ${name} holds clusters ${lcn} to ${lcn + length}, past the volume's end`);
  return data;
}

function requireCleanVolume(record: FileRecord, part: Part): void {
  const value = record.attributes.find(({ type }) => type === VOLUME_INFORMATION)?.value ?? null;
  if (value === null || value.length < VOLUME_FLAGS_AT + 2)
    throw new DiskError("corrupt", `${part.name}: ntfs: $Volume does not say whether the volume is clean`);
  const flags = (value[VOLUME_FLAGS_AT] as number) + (value[VOLUME_FLAGS_AT + 1] as number) * 256;
  if ((flags & UNCLEAN_FLAGS) !== 0)
    throw notReliable("ntfs", part, `it is marked as in need of a check (chkdsk; flags 0x${flags.toString(16)})`);
}

/** libvshadow, "Volume Shadow Snapshot (VSS) format": the volume header. */
const SHADOW_HEADER_AT = 0x1e00;
const SHADOW_ID = [0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52];
const SHADOW_CATALOG_AT = 48;

/** A shadow copy leaves what was deleted after it where it was, until something else is written there: in free space. */
async function requireNoShadows(pages: PartPages, signal?: AbortSignal): Promise<void> {
  const header = await pages.bytes(SHADOW_HEADER_AT, SHADOW_CATALOG_AT + 8, signal);
  const isHeader = SHADOW_ID.every((byte, i) => byte === header[i]);
  if (isHeader && header.subarray(SHADOW_CATALOG_AT).some((byte) => byte !== 0))
    throw notReliable("ntfs", pages.part, "it holds shadow copies (restore points), whose data lies in free space too");
}

/** The runs of the bitmap, which has to cover every cluster in clusters of its own. */
function bitmapRuns(record: FileRecord, boot: NtfsBoot, part: Part): readonly DataRun[] {
  if (record.attributes.some(({ type }) => type === ATTRIBUTE_LIST))
    throw notReliable("ntfs", part, "its $Bitmap is spread over several records, which is not read here");
  const data = dataOf("$Bitmap", record, boot, part);
  if (data.flags !== 0 || data.runs.some(({ lcn }) => lcn === null))
    throw notReliable("ntfs", part, "its $Bitmap is compressed, encrypted or sparse");
  const covered = data.runs.reduce((sum, { length }) => sum + length * boot.clusterBytes, 0);
  const needed = Math.ceil(boot.clusters / 8);
  for (const [field, value] of [
    ["initialized_size", data.initializedSize],
    ["data_size", data.dataSize],
    ["allocated_size", data.allocatedSize],
    ["the length of its runs", covered],
  ] as const)
    if (value < needed || value > covered)
      throw new DiskError("corrupt", `${part.name}: ntfs: $Bitmap: ${field} is ${value}, expected ${needed} to ${covered}`);
  return data.runs;
}

const RESTART_PAGE = struct("le", {
  magic: u32,
  usa_ofs: u16,
  usa_count: u16,
  chkdsk_lsn: u64exact,
  system_page_size: u32,
  log_page_size: u32,
  restart_area_offset: u16,
  minor_ver: u16,
  major_ver: u16,
});
const RESTART_AREA = struct("le", { current_lsn: u64exact, log_clients: u16, client_free_list: u16, client_in_use_list: u16, flags: u16 });
const RSTR = 0x52545352;
const NO_CLIENT = 0xffff;
const VOLUME_IS_CLEAN = 2;
const PAGE = 4096;

/**
 * Windows sets no dirty flag on a volume that it has mounted; the journal's newer restart page tells (it does so of a hibernated machine,
 * too). A journal of 0xFF only was emptied.
 */
async function requireCleanLog(log: Attribute, boot: NtfsBoot, pages: PartPages, signal?: AbortSignal): Promise<void> {
  const { part } = pages;
  const run = log.runs[0] as DataRun;
  if (run.lcn === null || run.length * boot.clusterBytes < 2 * PAGE)
    throw notReliable("ntfs", part, "its $LogFile is in pieces, which is not read here");
  const at = run.lcn * boot.clusterBytes;
  const head = await pages.bytes(at, 2 * PAGE, signal);
  if (head.every((byte) => byte === 0xff)) return;
  const areas = [0, PAGE].map((offset) =>
    restartArea(head.slice(offset, offset + PAGE), `${part.name}: ntfs: $LogFile at byte ${at + offset}`),
  );
  const [first, second] = areas as [ReturnType<typeof restartArea>, ReturnType<typeof restartArea>];
  const newest = second.current_lsn > first.current_lsn ? second : first;
  if (newest.client_in_use_list !== NO_CLIENT && (newest.flags & VOLUME_IS_CLEAN) === 0)
    throw notReliable("ntfs", part, "it was not shut down cleanly, or its Windows is hibernated: its journal has to be replayed first");
}

function restartArea(page: Uint8Array, what: string) {
  const header = RESTART_PAGE.read(page);
  if (header.magic !== RSTR) throw new DiskError("corrupt", `${what}: no restart page`);
  if (header.system_page_size !== PAGE)
    throw new DiskError("unsupported", `${what}: system_page_size is ${header.system_page_size}, expected ${PAGE}`);
  undoFixups(page, what);
  const offset = header.restart_area_offset;
  if (offset % 8 !== 0 || offset < RESTART_PAGE.bytes || offset + RESTART_AREA.bytes > PAGE)
    throw new DiskError("corrupt", `${what}: restart_area_offset is ${offset}`);
  return RESTART_AREA.read(page, offset);
}
