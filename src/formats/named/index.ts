import { DiskError } from "../../core/errors.ts";
import type { DiskFormat } from "../../core/model.ts";

/** Kinds of files that are recognised only to be refused by name: read as raw disks they would give wrong bytes. */
interface Kind {
  readonly id: string;
  readonly label: string;
  readonly extensions: readonly string[];
  readonly spec: string;
  /** What to do instead, a sentence. */
  readonly advice: string;
  /** One of these stands at its place; a negative place counts from the end of the file. */
  readonly magics: readonly (readonly [at: number, mark: string])[];
}

const KINDS: readonly Kind[] = [
  {
    id: "wim",
    label: "Windows image (WIM)",
    extensions: ["wim", "esd"],
    spec: "Microsoft, Windows Imaging File Format (WIM), 2007",
    advice: "It holds files, from which Windows is installed; install it on a disk first.",
    magics: [[0, "MSWIM\0\0\0"]],
  },
  {
    id: "ex01",
    label: "EnCase 7 image (Ex01)",
    extensions: ["ex01"],
    spec: "https://github.com/libyal/libewf/tree/main/documentation",
    advice: "It is another format than E01; export it as E01 or raw.",
    magics: [[0, "EVF2\r\n\x81\0"]],
  },
  {
    id: "l01",
    label: "logical evidence file (L01)",
    extensions: ["l01"],
    spec: "https://github.com/libyal/libewf/tree/main/documentation",
    advice: "It holds files, not a disk.",
    magics: [
      [0, "LVF\x09\x0d\x0a\xff\0"],
      [0, "LEF2\r\n\x81\0"],
    ],
  },
  {
    id: "lzma",
    label: "LZMA file",
    extensions: ["lzma", "lz", "lzo", "z"],
    spec: "https://tukaani.org/lzma/",
    advice: "Unpack it first.",
    magics: [
      [0, "LZIP"],
      [0, "\x89LZO\0\r\n\x1a\n"],
    ],
  },
  {
    id: "7z",
    label: "7z archive",
    extensions: ["7z"],
    spec: "https://www.7-zip.org/7z.html",
    advice: "Unpack it first.",
    magics: [[0, "7z\xbc\xaf\x27\x1c"]],
  },
  {
    id: "rar",
    label: "RAR archive",
    extensions: ["rar"],
    spec: "https://www.rarlab.com/technote.htm",
    advice: "Unpack it first.",
    magics: [[0, "Rar!\x1a\x07"]],
  },
];

export const NAMED_FORMATS: readonly DiskFormat[] = KINDS.map(({ id, label, extensions, spec, advice, magics }) => ({
  id,
  label,
  extensions,
  spec,
  probe: (head, tail) => magics.some(([at, mark]) => (at < 0 ? holds(tail, tail.length + at, mark) : holds(head, at, mark))),
  async open(file) {
    throw new DiskError("unsupported", `${file.name} is a ${label}, which is not a disk image. ${advice}`, { file: file.name, at: 0 });
  },
}));

const holds = (bytes: Uint8Array, at: number, mark: string): boolean =>
  at >= 0 && at + mark.length <= bytes.length && Array.from(mark).every((c, i) => bytes[at + i] === c.charCodeAt(0));
