import { DiskError } from "../../core/errors.ts";
import { isFirstPart } from "../../core/file-name.ts";
import type { ByteSource, DiskFormat, Extent, FormatContext, Note, Volume } from "../../core/model.ts";
import type { ImageWriter, TargetSpec } from "../../core/target.ts";
import { createGzip } from "./gzip-writer.ts";
import { findParts } from "./parts.ts";
import { createZstd } from "./zstd-writer.ts";

const SECTOR = 512;
const UNIT = 1 << 16;

/** The disk as it is, byte for byte; a last sector that the file does not fill is padded with zeros. */
export const raw: DiskFormat = {
  id: "raw",
  label: "Raw disk",
  extensions: ["raw", "img", "dd", "bin"],
  spec: "The bytes of the disk in their order, nothing else.",
  probe: () => true,
  open: openRaw,
  target: {
    options: [
      {
        name: "packaging",
        label: "Packed as",
        help: "The disk as it is, as one packed stream, or as Google's cloud imports it.",
        choices: [
          { value: "none", label: "As it is" },
          { value: "gzip", label: "gzip (.gz)" },
          { value: "zstd", label: "Zstandard (.zst)" },
          { value: "gce", label: "Google Compute Engine (disk.raw in .tar.gz)" },
        ],
        initial: "none",
      },
    ],
    losses: ({ size, options }) =>
      options["packaging"] === "gce" && size % GCE_STEP !== 0
        ? [{ what: "The disk's size", why: "Google Compute Engine imports disks of whole GiB only", severity: "warning" }]
        : [],
    create(spec, compute) {
      const { packaging } = spec.options;
      if (packaging === "zstd") return createZstd(spec);
      if (packaging === "gzip" || packaging === "gce") return createGzip(spec, compute, packaging === "gce" ? "tar" : "none");
      return createRaw(spec);
    },
    qemuArguments: ({ options }) => (options["packaging"] === "none" ? ["-O", "raw"] : null),
    extension: ({ packaging }) => EXTENSIONS[packaging ?? "none"] ?? null,
    readsAs: ({ packaging }) => (packaging === "zstd" ? "zstd" : packaging === "none" ? null : "gzip"),
  },
};

const GCE_STEP = 2 ** 30;
const EXTENSIONS: Readonly<Record<string, string>> = { gzip: "img.gz", zstd: "img.zst", gce: "tar.gz" };

async function openRaw(file: ByteSource, { resolve }: FormatContext): Promise<Volume> {
  if (file.size === 0) throw new DiskError("corrupt", `raw: ${file.name} is empty`, { file: file.name, at: 0 });
  const files = isFirstPart(file.name) ? await findParts(file, resolve) : [file];
  const bytes = files.reduce((sum, part) => sum + part.size, 0);
  const size = Math.ceil(bytes / SECTOR) * SECTOR;
  const notes: Note[] = [];
  if (files.length > 1)
    notes.push({
      text: `The disk is split into ${files.length} parts, ${file.name} to ${files[files.length - 1]?.name}: if there are more, they are missing.`,
      severity: "info",
    });
  else if (isFirstPart(file.name))
    notes.push({
      text: `${file.name} is named like the first part of a split disk, but no second part was given: it is read alone.`,
      severity: "warning",
    });
  if (size !== bytes)
    notes.push({
      text: `The file's ${bytes} bytes are not a multiple of ${SECTOR}: the last sector is filled up with ${size - bytes} zero bytes.`,
      severity: "warning",
    });
  return {
    format: "raw",
    variant: files.length > 1 ? `${files.length} parts` : "",
    size,
    unit: 0,
    files,
    parent: null,
    identity: null,
    snapshots: [],
    unsupported: [],
    notes,
    encrypted: false,
    details: {},
    extents: async (start, length) => rawExtents(files, start, length),
  };
}

function rawExtents(files: readonly ByteSource[], start: number, length: number): readonly Extent[] {
  const list: Extent[] = [];
  const end = start + length;
  let at = start;
  let partStart = 0;
  for (const [file, part] of files.entries()) {
    const stop = Math.min(end, partStart + part.size);
    if (stop > at) {
      list.push({ kind: "raw", start: at, length: stop - at, file, at: at - partStart });
      at = stop;
    }
    partStart += part.size;
  }
  if (at < end) list.push({ kind: "zero", start: at, length: end - at });
  return list;
}

function createRaw(spec: TargetSpec): ImageWriter {
  return {
    unit: UNIT,
    files: [spec.name],
    encoding: null,
    sequential: false,
    put(index, block) {
      if (block.kind === "packed") throw new TypeError("raw: blocks are never packed");
      const at = index * UNIT;
      return [{ file: 0, at, bytes: block.bytes.subarray(0, Math.min(UNIT, spec.size - at)) }];
    },
    end: () => ({ writes: [], sizes: [spec.size] }),
  };
}
