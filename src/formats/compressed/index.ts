import { unpackedSource } from "../../archives/unpacked-source.ts";
import type { ByteSource, DiskFormat, FormatContext, Note, Volume } from "../../core/model.ts";
import type { StreamCodec } from "../../core/ports.ts";

/** A file that is one packed stream, with an image of any format (or another wrapping) in it. */
interface Kind {
  readonly id: StreamCodec;
  readonly label: string;
  /** An extension, and what it becomes when the stream is unpacked. */
  readonly extensions: Readonly<Record<string, string>>;
  readonly spec: string;
  readonly magics: readonly (readonly number[])[];
}

const KINDS: readonly Kind[] = [
  {
    id: "gzip",
    label: "gzip",
    extensions: { gz: "", tgz: ".tar" },
    spec: "https://www.rfc-editor.org/rfc/rfc1952",
    magics: [[0x1f, 0x8b, 8]],
  },
  {
    id: "xz",
    label: "xz",
    extensions: { xz: "", txz: ".tar" },
    spec: "https://tukaani.org/xz/xz-file-format.txt",
    magics: [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]],
  },
  {
    id: "bzip2",
    label: "bzip2",
    extensions: { bz2: "", tbz2: ".tar" },
    spec: "https://sourceware.org/bzip2/",
    // "BZh", a digit, then a block or the end of the stream.
    magics: [
      [0x42, 0x5a, 0x68, -1, 0x31, 0x41, 0x59, 0x26],
      [0x42, 0x5a, 0x68, -1, 0x17, 0x72, 0x45, 0x38],
    ],
  },
  {
    id: "zstd",
    label: "Zstandard",
    extensions: { zst: "", tzst: ".tar" },
    spec: "https://www.rfc-editor.org/rfc/rfc8878",
    magics: [[0x28, 0xb5, 0x2f, 0xfd], ...skippable()],
  },
  {
    id: "lz4",
    label: "LZ4",
    extensions: { lz4: "" },
    spec: "https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md",
    magics: [
      [0x04, 0x22, 0x4d, 0x18],
      [0x02, 0x21, 0x4c, 0x18],
    ],
  },
];

/** RFC 8878 §3.1.2: sixteen magic numbers of frames that hold nothing, with which a file may begin. */
function skippable(): number[][] {
  return Array.from({ length: 16 }, (_, i) => [0x50 + i, 0x2a, 0x4d, 0x18]);
}

export const COMPRESSED_FORMATS: readonly DiskFormat[] = KINDS.map((kind) => ({
  id: kind.id,
  wraps: true,
  label: kind.label,
  extensions: Object.keys(kind.extensions),
  spec: kind.spec,
  probe: (head) => kind.magics.some((magic) => magic.every((byte, i) => byte === -1 || head[i] === byte)),
  open: (file, context) => openPacked(file, kind, context),
}));

async function openPacked(file: ByteSource, kind: Kind, context: FormatContext): Promise<Volume> {
  const inner = await unpackedSource(file, kind.id, innerName(file.name, kind), context);
  const volume = await context.openInner(inner, kind.label, context);
  const notes: Note[] = inner.remarks.map((remark) => ({ text: `${file.name}: ${remark}`, severity: "warning" }));
  return { ...volume, notes: [...notes, ...volume.notes] };
}

/** `disk.img.gz` holds `disk.img`, `disk.tgz` holds `disk.tar`. */
function innerName(name: string, kind: Kind): string {
  const dot = name.lastIndexOf(".");
  const becomes = dot < 0 ? undefined : kind.extensions[name.slice(dot + 1).toLowerCase()];
  return becomes === undefined ? name : name.slice(0, dot) + becomes;
}
