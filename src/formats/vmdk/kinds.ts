import { DiskError } from "../../core/errors.ts";
import type { ByteSource, ScanTable } from "../../core/model.ts";
import { openCowd } from "./cowd.ts";
import type { Descriptor } from "./descriptor.ts";
import { openHosted } from "./hosted.ts";
import { openSeSparse } from "./sesparse.ts";
import type { SparseExtent } from "./sparse.ts";
import { COWD_MAGIC, MAGIC, SESPARSE_MAGIC } from "./spec.ts";

/** [1] createType: those whose data lie in files. */
const READABLE_TYPES = new Set([
  "monolithicsparse",
  "monolithicflat",
  "2gbmaxextentsparse",
  "2gbmaxextentflat",
  "twogbmaxextentsparse",
  "twogbmaxextentflat",
  "streamoptimized",
  "vmfs",
  "vmfsthin",
  "vmfseagerzeroedthick",
  "vmfspreallocated",
  "vmfssparse",
  "sesparse",
  "fulldevice",
  "partitioneddevice",
  "custom",
]);
/** [1]: mappings of a LUN into a datastore; what the extent names holds no data. */
const DEVICE_TYPE = /^vmfs(rdmp?|raw|(passthrough)?rawdevicemap)$/i;
const DEVICE_EXTENT = /^VMFS(RDM|RAW)/;
const READABLE_EXTENTS = new Set(["FLAT", "VMFS", "SPARSE", "VMFSSPARSE", "SESPARSE", "ZERO"]);
export const isSparse = (type: string): boolean => type.endsWith("SPARSE");

const NAMES_SHOWN = 3;

/** What makes a disk of this kind unreadable here. */
export function refusals({ createType, extents, encrypted }: Descriptor): string[] {
  const found: string[] = [];
  if (DEVICE_TYPE.test(createType))
    found.push(`createType "${createType}" (a device mapping: the data are on the device itself, copy them from there)`);
  else if (createType !== "" && !READABLE_TYPES.has(createType.toLowerCase())) found.push(`createType "${createType}"`);
  for (const type of new Set(extents.map((extent) => extent.type)))
    if (!READABLE_EXTENTS.has(type)) {
      const names = extents.flatMap((extent) => (extent.type === type && extent.name !== "" ? [extent.name] : []));
      const shown = names.slice(0, NAMES_SHOWN).join(", ") + (names.length > NAMES_SHOWN ? ", …" : "");
      found.push(`${type} extents${shown && ` (${shown})`}${DEVICE_EXTENT.test(type) ? ", which stand for a device" : ""}`);
    }
  const device = /device$/i.test(createType) ? extents.find(({ name }) => namesDevice(name)) : undefined;
  if (device !== undefined) found.push(`an extent that is the device ${device.name}`);
  if (encrypted) found.push("encryption");
  return found;
}

/** Does this name stand for a device of the machine where the disk was made? */
export const namesDevice = (name: string): boolean => /^(\\\\[.?]\\|\/dev\/|\/vmfs\/devices\/)/i.test(name);

/** The kind of sparse extent that begins so; null: none. */
export function sparseKind(head: Uint8Array): SparseExtent["kind"] | null {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length >= 8 && view.getBigUint64(0, true) === SESPARSE_MAGIC) return "SESPARSE";
  const magic = head.length >= 4 ? view.getUint32(0, true) : 0;
  return magic === MAGIC ? "SPARSE" : magic === COWD_MAGIC ? "VMFSSPARSE" : null;
}

/** Opens a sparse extent of the kind that its first bytes show. `type`: what the descriptor's line says it is. */
export async function openSparse(
  source: ByteSource,
  type: string,
  budget: { directoryBytes: number },
  scanTable: ScanTable,
): Promise<SparseExtent> {
  const kind = sparseKind(await source.read(0, Math.min(8, source.size)));
  if (kind === "VMFSSPARSE") return openCowd(source, budget, scanTable);
  if (kind === "SESPARSE") return openSeSparse(source, budget);
  if (kind === "SPARSE" || source.size === 0) return openHosted(source, budget, scanTable);
  throw new DiskError("corrupt", `vmdk: the magicNumber of ${source.name} is that of no sparse extent, but the descriptor says ${type}`, {
    file: source.name,
    at: 0,
  });
}
