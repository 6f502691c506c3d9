import { DiskError } from "../core/errors.ts";
import type { ByteSource, DiskFormat, Note, OpenContext, Volume } from "../core/model.ts";
import { identify } from "../filesystems/index.ts";
import { readPartitions } from "../partitions/index.ts";
import { foreignExtension, foreignFormat } from "./foreign.ts";
import { qcow2 } from "./qcow2/index.ts";
import { raw } from "./raw/index.ts";
import { vdi } from "./vdi/index.ts";
import { vmdk } from "./vmdk/index.ts";

/** Probed in this order; raw accepts anything, so it stays last. A new format is one line here. */
export const DISK_FORMATS: readonly DiskFormat[] = [qcow2, vmdk, vdi, raw];

/** What a probe is shown of a file: this much of its beginning and its end. */
const PROBE_BYTES = 1 << 16;

/** The format that owns a file with these first and last 64 KiB; raw when no other does. */
export function detect(head: Uint8Array, tail: Uint8Array): DiskFormat {
  return DISK_FORMATS.find((format) => format.probe(head, tail)) ?? raw;
}

/** The format with this id; a `usage` error when there is none. */
export function formatById(id: string): DiskFormat {
  const format = DISK_FORMATS.find((row) => row.id === id);
  if (format !== undefined) return format;
  throw new DiskError("usage", `There is no format "${id}"; there are ${DISK_FORMATS.map((row) => row.id).join(", ")}.`);
}

/** The format that a file's content shows, or the one with `formatId`; nothing is opened. */
export async function detectFormat(file: ByteSource, formatId?: string): Promise<DiskFormat> {
  if (formatId !== undefined) return formatById(formatId);
  const length = Math.min(PROBE_BYTES, file.size);
  return detect(await file.read(0, length), await file.read(file.size - length, length));
}

/**
 * Opens an image under the format that its content shows, or under `formatId` whatever its content.
 * A file that only raw would take is refused when it holds a format that is not read here, or when its name promises a
 * format that its content does not have: read as a raw disk it would give wrong bytes without a word.
 */
export async function openImage(file: ByteSource, context: OpenContext, formatId?: string): Promise<Volume> {
  if (formatId !== undefined) return formatById(formatId).open(file, context);
  if (file.size === 0) throw new DiskError("corrupt", `${file.name} is empty`, { file: file.name, at: 0 });
  const length = Math.min(PROBE_BYTES, file.size);
  const head = await file.read(0, length);
  const tail = await file.read(file.size - length, length);
  const format = detect(head, tail);
  if (format !== raw) return format.open(file, context);
  const note = await noteOnRaw(file, head, tail);
  const volume = await raw.open(file, context);
  return note === null ? volume : { ...volume, notes: [note, ...volume.notes] };
}

/** Refuses what must not be read as a raw disk; the note says that the name and the content differ. */
async function noteOnRaw(file: ByteSource, head: Uint8Array, tail: Uint8Array): Promise<Note | null> {
  const place = { file: file.name, at: 0 };
  const foreign = foreignFormat(head, tail);
  if (foreign !== null)
    throw new DiskError(
      "unsupported",
      `${file.name} is a ${foreign} file, which is not read here; read it as raw only if you are sure (-f raw)`,
      place,
    );
  const extension = /\.([^.]+)$/.exec(file.name)?.[1]?.toLowerCase() ?? "";
  const promised =
    DISK_FORMATS.find((format) => format !== raw && format.extensions.includes(extension))?.id ?? foreignExtension(extension);
  if (promised === null)
    return /^(000|001|aa)$/.test(extension)
      ? { text: `${file.name} is named like the first part of a split disk; the other parts are not read.`, severity: "warning" }
      : null;
  const missing = `${file.name} is named .${extension} but holds no ${promised.startsWith("qcow") ? promised : promised.toUpperCase()} header`;
  if (!(await holdsDisk(file)))
    throw new DiskError("wrong-format", `${missing}: it is damaged or truncated; read it as raw only if you are sure (-f raw)`, place);
  const part = /^(.*)-flat\.vmdk$/i.exec(file.name)?.[1];
  const whole = part === undefined ? "" : ` It is one part of a VMDK: the image itself is ${part}.vmdk.`;
  return { text: `${missing}; its content is a disk and is read as it is.${whole}`, severity: "warning" };
}

async function holdsDisk(file: ByteSource): Promise<boolean> {
  const read = (at: number, length: number) => file.read(at, length);
  return (await readPartitions(read, file.size)) !== null || (await identify(read, 0, file.size)) !== null;
}
