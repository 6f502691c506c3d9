import { legacyCipher, legacyNotes, legacySource, placedOnDisk } from "../../ciphers/legacy-aes.ts";
import type { ByteSource, Note, OpenContext, Volume } from "../../core/model.ts";
import { DiskMap } from "./disk-map.ts";
import { type Header, readHeader } from "./header.ts";
import * as q from "./spec.ts";

/** Opens one image as one layer; the backing file is named, not opened. Throws `corrupt` when the header or the L1 table's place is damaged. */
export async function openQcow(file: ByteSource, { passphrase, compute }: OpenContext): Promise<Volume> {
  const header = await readHeader(file);
  const { size, encrypted } = header;
  const map = await DiskMap.open(file, header);
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  if (!(await isZeroAfterL1(file, header))) warn("There is something behind the L1 table: the disk's size in the header may be damaged.");
  const spare = await map.entriesPastEnd();
  if (spare > 0) warn(`Table entries past the end of the disk are in use (${spare}): the disk's size in the header may be damaged.`);
  if (await map.clustersSeemLarger()) warn("The clusters lie farther apart than cluster_bits says: that field may be damaged.");
  const cipher = encrypted && passphrase !== undefined ? await legacyCipher(passphrase, compute) : null;
  const locked = encrypted && cipher === null;
  const extents: Volume["extents"] = async (start, length, signal) => {
    if (locked) throw q.problem("passphrase", `${file.name} is encrypted and needs its passphrase`, { file: file.name });
    return map.extents(start, length, signal);
  };
  const disk = cipher === null ? null : { file, size, extents, cipher };
  if (disk !== null) notes.push(...(await legacyNotes(disk)));
  return {
    format: "qcow",
    variant: encrypted ? "AES" : "",
    size,
    unit: header.clusterSize,
    files: disk === null ? [file] : [file, legacySource(disk)],
    parent: header.backing,
    identity: null,
    snapshots: [],
    unsupported: [],
    notes,
    encrypted,
    locked,
    details: {},
    extents: disk === null ? extents : async (...range) => placedOnDisk(await extents(...range), 1),
  };
}

/** What is between the L1 table and the next cluster, the first place that can be given out, was never written. */
async function isZeroAfterL1(file: ByteSource, { l1, clusterSize }: Header): Promise<boolean> {
  const end = l1.at + l1.entries * q.ENTRY_BYTES;
  const next = Math.min(Math.ceil(end / clusterSize) * clusterSize, file.size);
  return (await file.read(end, next - end)).every((byte) => byte === 0);
}
