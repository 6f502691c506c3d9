import { DiskError } from "../../core/errors.ts";
import type { ByteSource, DiskFormat, Extent, ImageWriter, Note, TargetSpec, Volume } from "../../core/model.ts";
import { createGzip } from "./gzip-writer.ts";
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

async function openRaw(file: ByteSource): Promise<Volume> {
  if (file.size === 0) throw new DiskError("corrupt", `raw: ${file.name} is empty`, { file: file.name, at: 0 });
  const size = Math.ceil(file.size / SECTOR) * SECTOR;
  const notes: Note[] = [];
  if (size !== file.size)
    notes.push({
      text: `The file's ${file.size} bytes are not a multiple of ${SECTOR}: the last sector is filled up with ${size - file.size} zero bytes.`,
      severity: "warning",
    });
  return {
    format: "raw",
    variant: "",
    size,
    unit: 0,
    files: [file],
    parent: null,
    identity: null,
    snapshots: [],
    unsupported: [],
    notes,
    encrypted: false,
    details: {},
    extents: async (start, length) => rawExtents(file, start, length),
  };
}

function rawExtents(file: ByteSource, start: number, length: number): readonly Extent[] {
  const inside = Math.max(0, Math.min(length, file.size - start));
  const data: Extent = { kind: "raw", start, length: inside, file: 0, at: start };
  const padding: Extent = { kind: "zero", start: start + inside, length: length - inside };
  return [data, padding].filter((extent) => extent.length > 0);
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
