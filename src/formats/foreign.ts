/** Image and container formats that are recognised only to be refused: read as raw disks they would give wrong bytes. */
interface ForeignFormat {
  readonly name: string;
  readonly extensions: readonly string[];
  /** One of these stands at its place; a negative place counts from the end of the file. */
  readonly magics: readonly (readonly [at: number, mark: string])[];
}

const FOREIGN: readonly ForeignFormat[] = [
  {
    name: "VHD",
    extensions: ["vhd", "avhd", "vpc"],
    magics: [
      [0, "conectix"],
      [-512, "conectix"],
      [-511, "conectix"],
    ],
  },
  { name: "VHDX", extensions: ["vhdx", "avhdx"], magics: [[0, "vhdxfile"]] },
  { name: "QED", extensions: ["qed"], magics: [[0, "QED\0"]] },
  { name: "qcow version 1", extensions: ["qcow"], magics: [[0, "QFI\xfb\0\0\0\x01"]] },
  {
    name: "Parallels",
    extensions: ["hdd", "hds"],
    magics: [
      [0, "WithoutFreeSpace"],
      [0, "WithouFreSpacExt"],
    ],
  },
  { name: "DMG", extensions: ["dmg"], magics: [[-512, "koly"]] },
  { name: "ASIF", extensions: ["asif"], magics: [[0, "shdw"]] },
  { name: "EnCase (E01)", extensions: ["e01"], magics: [[0, "EVF\x09\x0d\x0a\xff\0"]] },
  { name: "Android sparse", extensions: ["simg"], magics: [[0, "\x3a\xff\x26\xed"]] },
  { name: "WIM", extensions: ["wim"], magics: [[0, "MSWIM\0\0\0"]] },
  { name: "tar (OVA)", extensions: ["ova", "tar"], magics: [[257, "ustar"]] },
  { name: "gzip", extensions: ["gz", "tgz"], magics: [[0, "\x1f\x8b\x08"]] },
  { name: "xz", extensions: ["xz"], magics: [[0, "\xfd7zXZ\0"]] },
  { name: "bzip2", extensions: ["bz2"], magics: [[0, "BZh"]] },
  { name: "zstd", extensions: ["zst"], magics: [[0, "\x28\xb5\x2f\xfd"]] },
  { name: "zip", extensions: ["zip", "box"], magics: [[0, "PK\x03\x04"]] },
  { name: "7z", extensions: ["7z"], magics: [[0, "7z\xbc\xaf\x27\x1c"]] },
];

const holds = (bytes: Uint8Array, at: number, mark: string): boolean =>
  at >= 0 && at + mark.length <= bytes.length && Array.from(mark).every((c, i) => bytes[at + i] === c.charCodeAt(0));

/** The name of the foreign format that the first and last bytes of a file belong to, or null. */
export function foreignFormat(head: Uint8Array, tail: Uint8Array): string | null {
  const match = FOREIGN.find(({ magics }) =>
    magics.some(([at, mark]) => (at < 0 ? holds(tail, tail.length + at, mark) : holds(head, at, mark))),
  );
  return match?.name ?? null;
}

/** The name of the foreign format that files with this extension have, or null. */
export const foreignExtension = (extension: string): string | null =>
  FOREIGN.find(({ extensions }) => extensions.includes(extension))?.name ?? null;
