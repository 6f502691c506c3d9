import { DiskError } from "../core/errors.ts";
import type { ByteSource, DiskFormat, FileReference, FormatContext, Note, OpenContext, Volume } from "../core/model.ts";
import { identify } from "../filesystems/index.ts";
import { missingEnd, readPartitions } from "../partitions/index.ts";
import { androidSparse } from "./android-sparse/index.ts";
import { asif } from "./asif/index.ts";
import { bochs } from "./bochs/index.ts";
import { cloop } from "./cloop/index.ts";
import { COMPRESSED_FORMATS } from "./compressed/index.ts";
import { dmg } from "./dmg/index.ts";
import { ewf } from "./ewf/index.ts";
import { luks, luks2 } from "./luks/index.ts";
import { NAMED_FORMATS } from "./named/index.ts";
import { ova } from "./ova/index.ts";
import { parallels } from "./parallels/index.ts";
import { qcow } from "./qcow/index.ts";
import { qcow2 } from "./qcow2/index.ts";
import { qed } from "./qed/index.ts";
import { raw } from "./raw/index.ts";
import { sparsebundle } from "./sparsebundle/index.ts";
import { sparseimage } from "./sparseimage/index.ts";
import { isMember, tar } from "./tar/index.ts";
import { vdi } from "./vdi/index.ts";
import { vhd } from "./vhd/index.ts";
import { vhdx } from "./vhdx/index.ts";
import { vmdk } from "./vmdk/index.ts";
import { xva } from "./xva/index.ts";
import { zip } from "./zip/index.ts";

/** Probed in this order; raw accepts anything, so it stays last. A new format is one line here. */
export const DISK_FORMATS: readonly DiskFormat[] = [
  // Disk images.
  // Before qcow2, which takes every version with their common magic.
  qcow,
  qcow2,
  vmdk,
  vdi,
  vhdx,
  // Before all that may stand at the beginning of a disk: a fixed VHD is known by its end only.
  vhd,
  // Known by its end too; it may begin like a compressed stream.
  dmg,
  luks,
  luks2,
  parallels,
  qed,
  bochs,
  cloop,
  sparseimage,
  sparsebundle,
  asif,
  androidSparse,
  ewf,
  // Files that hold images.
  // A tar archive of its own kind.
  xva,
  // Before tar, which takes appliances for archives like any other.
  ova(vmdk),
  zip,
  tar,
  ...COMPRESSED_FORMATS,
  ...NAMED_FORMATS,
  raw,
];

export { isMember };

/** Rows whose files can be opened; the others are recognised only to be refused by name. */
export const READABLE_FORMATS: readonly DiskFormat[] = DISK_FORMATS.filter((row) => !NAMED_FORMATS.includes(row));
export const WRITABLE_FORMATS: readonly DiskFormat[] = DISK_FORMATS.filter((row) => row.target !== undefined);

/** What else formats are called: by their extensions, or by other programs. */
export const OTHER_NAMES: Readonly<Record<string, string>> = {
  bin: "raw",
  dd: "raw",
  img: "raw",
  vhd: "vpc",
  hdd: "parallels",
  e01: "ewf",
  simg: "android-sparse",
};

/** What a probe is shown of a file: this much of its beginning and its end. */
const PROBE_BYTES = 1 << 16;
/** An image in an archive in a compressed stream is common; more wrappings than this are a trap. */
const MOST_WRAPPINGS = 8;

/** The format that owns a file with these first and last 64 KiB; raw when no other does. */
export function detect(head: Uint8Array, tail: Uint8Array): DiskFormat {
  return DISK_FORMATS.find((format) => format.probe(head, tail)) ?? raw;
}

const idsOf = (rows: readonly DiskFormat[]): string => rows.map(({ id }) => id).join(", ");
const rowOf = (name: string): DiskFormat | undefined => DISK_FORMATS.find(({ id }) => id === (OTHER_NAMES[name] ?? name));

/** The format with this id or other name; a `usage` error when there is none. */
export function formatById(name: string): DiskFormat {
  const format = rowOf(name);
  if (format !== undefined) return format;
  throw new DiskError("usage", `There is no format "${name}"; there are ${idsOf(READABLE_FORMATS)}.`);
}

/** The same for a format to write. */
export function targetById(name: string): DiskFormat {
  const format = rowOf(name);
  if (format?.target !== undefined) return format;
  const what = format === undefined ? `There is no format "${name}"` : `${format.label} can be read but not written`;
  throw new DiskError("usage", `${what}; these are written: ${idsOf(WRITABLE_FORMATS)}.`);
}

/** The format that a file's content shows, or the one with `formatId`; nothing is opened. */
export async function detectFormat(file: ByteSource, formatId?: string): Promise<DiskFormat> {
  if (formatId !== undefined) return formatById(formatId);
  const length = Math.min(PROBE_BYTES, file.size);
  return detect(await file.read(0, length), await file.read(file.size - length, length));
}

/** What to say when there is none. `where`: what was looked through, with a verb: “was not given”. */
export const missingIdentity = (child: string, { id, name }: FileReference, where: string): DiskError =>
  new DiskError("missing-file", `${child} is a layer over the VDI whose UUID is ${id} (its file may have any name), which ${where}`, {
    file: child,
    needs: name,
  });

/** The context that a row of the table is given: the caller's, and the way into what a file wraps. */
export function formatContext(context: OpenContext, wrappings = 0): FormatContext {
  return {
    ...context,
    isImage: (head) => detect(head, head) !== raw || hasBootRecord(head),
    async openInner(file, wrapping, inner, format) {
      if (wrappings === MOST_WRAPPINGS)
        throw new DiskError("limit", `${file.name}: wrapped more than ${MOST_WRAPPINGS} times`, { file: file.name, at: 0 });
      const known = format ?? (await knownInside(file, inner));
      const volume = await openAs(file, formatContext(inner, wrappings + 1), known);
      const unwrapped = volume.unwrapped ?? { file, context: inner };
      return { ...volume, wrapping: [wrapping, ...(volume.wrapping ?? [])], unwrapped };
    },
  };
}

/** What the caller says that the wrappings hold; a further wrapping comes first. */
async function knownInside(file: ByteSource, { innerFormat }: OpenContext): Promise<string | undefined> {
  return innerFormat === undefined || (await detectFormat(file)).wraps === true ? undefined : innerFormat;
}

const hasBootRecord = (head: Uint8Array): boolean => head[510] === 0x55 && head[511] === 0xaa;

/**
 * Opens an image under the format that its content shows, or under `formatId` whatever its content.
 * A file that only raw would take is refused when its name promises a format that its content does not have: read as a
 * raw disk it would give wrong bytes without a word. So is a snapshot of a format that has none.
 */
export async function openImage(file: ByteSource, context: OpenContext, formatId?: string): Promise<Volume> {
  const volume = await openAs(file, formatContext(context), formatId);
  if (context.snapshot !== undefined && volume.snapshot === undefined)
    throw new DiskError("usage", `${file.name} has no internal snapshots, so none can be “${context.snapshot}”`, { file: file.name });
  return volume;
}

async function openAs(file: ByteSource, context: FormatContext, formatId?: string): Promise<Volume> {
  if (formatId === undefined && file.size === 0) throw new DiskError("corrupt", `${file.name} is empty`, { file: file.name, at: 0 });
  const format = await detectFormat(file, formatId);
  if (format !== raw) return format.open(file, context);
  const renamed = formatId === undefined ? await noteOnRaw(file) : null;
  const volume = await raw.open(file, context);
  // What the file does not have reads as zero: a last part of a sector, the other parts of a split disk.
  const read = async (at: number, length: number) => (at + length <= file.size ? file.read(at, length) : new Uint8Array(length));
  const cut = await missingEnd(read, volume.size);
  return { ...volume, notes: [...[renamed, cut].filter((note) => note !== null), ...volume.notes] };
}

/** Refuses what must not be read as a raw disk; the note says that the name and the content differ. */
async function noteOnRaw(file: ByteSource): Promise<Note | null> {
  const extension = /\.([^.]+)$/.exec(file.name)?.[1]?.toLowerCase() ?? "";
  const promised = DISK_FORMATS.find((format) => format !== raw && format.extensions.includes(extension));
  if (promised === undefined) return null;
  const missing = `${file.name} is named .${extension} but holds no ${promised.label} header`;
  if (!(await holdsDisk(file)))
    throw new DiskError("wrong-format", `${missing}: it is damaged or truncated; read it as raw only if you are sure (-f raw)`, {
      file: file.name,
      at: 0,
    });
  const part = /^(.*)-flat\.vmdk$/i.exec(file.name)?.[1];
  const whole = part === undefined ? "" : ` It is one part of a VMDK: the image itself is ${part}.vmdk.`;
  return { text: `${missing}; its content is a disk and is read as it is.${whole}`, severity: "warning" };
}

async function holdsDisk(file: ByteSource): Promise<boolean> {
  const read = (at: number, length: number) => file.read(at, length);
  return (await readPartitions(read, file.size)) !== null || (await identify(read, 0, file.size)) !== null;
}
