// Where each file system or container leaves its mark, and where its label and id stand. Sources, per row:
// the Linux kernel's headers of the file system, else the specification named there.
import { uuidText } from "../core/uuid.ts";
import { exfat, fat, type Identity, ntfs } from "./dos.ts";
import { text, viewOf, type Window } from "./window.ts";

export interface Signature {
  readonly kind: string;
  /** For people. */
  readonly name: string;
  /** Any of these marks it; empty: `identify` alone decides. */
  readonly magics: readonly Magic[];
  /** Label and id; null: not this after all. Absent: neither is read. */
  readonly identify?: (window: Window) => Promise<Identity | null>;
}
interface Magic {
  readonly at: number;
  readonly bytes: readonly number[];
}

const ascii = (at: number, mark: string): Magic => ({ at, bytes: Array.from(mark, (c) => c.charCodeAt(0)) });
const bytes = (at: number, ...list: number[]): Magic => ({ at, bytes: list });

/** Label and id at fixed places of a superblock. */
interface Fields {
  readonly label?: readonly [at: number, length: number];
  readonly uuid?: number;
  readonly encoding?: string;
}
const fixed =
  (fields: Fields) =>
  async (window: Window): Promise<Identity | null> => {
    const label = fields.label && (await window.bytes(...fields.label));
    const id = fields.uuid === undefined ? null : await window.bytes(fields.uuid, 16);
    return { label: label ? text(label, fields.encoding) : "", uuid: id && uuidText(id) };
  };

/** fs/ext4/ext4.h: features that ext2 and ext3 do not know make an ext4. */
async function ext(window: Window): Promise<Identity | null> {
  const block = await window.bytes(1024, 256);
  if (block === null) return null;
  const view = viewOf(block);
  const [compatible, incompatible, readOnly] = [92, 96, 100].map((at) => view.getUint32(at, true)) as [number, number, number];
  const journal = (compatible & 0x4) !== 0;
  const beyondExt3 = (incompatible & ~(0x2 | 0x4 | 0x10)) !== 0 || (readOnly & ~0x7) !== 0;
  const kind = (incompatible & 0x8) !== 0 ? "jbd" : beyondExt3 ? "ext4" : journal ? "ext3" : "ext2";
  return { kind, label: text(block.subarray(120, 136)), uuid: uuidText(block.subarray(104, 120)) };
}

/** LUKS on-disk format 1.2.3 and 2: the id is text; only version 2 has a label. */
async function luks(window: Window): Promise<Identity | null> {
  const header = await window.bytes(0, 512);
  if (header === null) return null;
  const version = viewOf(header).getUint16(6, false);
  return { label: version === 2 ? text(header.subarray(24, 72)) : "", uuid: text(header.subarray(168, 208)) || null };
}

/** LVM2 lib/format_text/layout.h: a label in one of the first four sectors; ids are 32 letters in groups. */
async function lvm2(window: Window): Promise<Identity | null> {
  for (let at = 0; at < 2048; at += 512) {
    const label = await window.bytes(at, 512);
    if (label === null || text(label.subarray(0, 8)) !== "LABELONE" || text(label.subarray(24, 32)) !== "LVM2 001") continue;
    const id = text(label.subarray(32, 64));
    return { label: "", uuid: id.replace(/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/, "$1-$2-$3-$4-$5-$6-$7") };
  }
  return null;
}

/** ECMA-167 2/9: volume structure descriptors of 2 KiB from byte 32,768; NSR02 or NSR03 means UDF, also beside ISO 9660. */
async function udf(window: Window): Promise<Identity | null> {
  for (let at = 32768; at < 32768 + 8 * 2048; at += 2048) {
    const mark = await window.bytes(at + 1, 5);
    if (mark === null) return null;
    const id = text(mark);
    if (id === "NSR02" || id === "NSR03") return { label: "", uuid: null };
    if (id !== "BEA01" && id !== "CD001" && id !== "BOOT2" && id !== "") return null;
  }
  return null;
}

/** OpenZFS, vdev_label: an XDR list of named values at 16 KiB; the pool's name is its label. */
async function zfs(window: Window): Promise<Identity | null> {
  const list = await window.bytes(16384, 4096);
  if (list === null || list[0] !== 1 || text(list.subarray(24, 31)) !== "version") return null;
  const view = viewOf(list);
  for (let at = 12; at + 12 <= list.length; ) {
    const size = view.getUint32(at, false);
    const nameLength = view.getUint32(at + 8, false);
    if (size < 20 || at + size > list.length || nameLength > size - 20) break;
    const value = at + 12 + Math.ceil(nameLength / 4) * 4 + 8;
    if (text(list.subarray(at + 12, at + 12 + nameLength)) === "name" && value + 4 <= list.length)
      return { label: text(list.subarray(value + 4, value + 4 + view.getUint32(value, false))), uuid: null };
    at += size;
  }
  return { label: "", uuid: null };
}

/** In the order in which they are tried: containers before what they could hold, marks that are weak last. */
export const SIGNATURES: readonly Signature[] = [
  { kind: "luks", name: "LUKS", magics: [bytes(0, 0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe)], identify: luks },
  { kind: "bitlocker", name: "BitLocker", magics: [ascii(3, "-FVE-FS-")] },
  { kind: "lvm2", name: "LVM2", magics: [0, 512, 1024, 1536].map((at) => ascii(at, "LABELONE")), identify: lvm2 },
  { kind: "ntfs", name: "NTFS", magics: [ascii(3, "NTFS    ")], identify: ntfs },
  { kind: "exfat", name: "exFAT", magics: [ascii(3, "EXFAT   ")], identify: exfat },
  { kind: "refs", name: "ReFS", magics: [bytes(3, 0x52, 0x65, 0x46, 0x53, 0, 0, 0, 0)] },
  { kind: "xfs", name: "XFS", magics: [ascii(0, "XFSB")], identify: fixed({ label: [108, 12], uuid: 32 }) },
  { kind: "apfs", name: "APFS", magics: [ascii(32, "NXSB")], identify: fixed({ uuid: 72 }) },
  { kind: "squashfs", name: "SquashFS", magics: [ascii(0, "hsqs")] },
  { kind: "ext", name: "ext", magics: [bytes(1080, 0x53, 0xef)], identify: ext },
  {
    kind: "f2fs",
    name: "F2FS",
    magics: [bytes(1024, 0x10, 0x20, 0xf5, 0xf2)],
    identify: fixed({ label: [1148, 1024], uuid: 1132, encoding: "utf-16le" }),
  },
  { kind: "erofs", name: "EROFS", magics: [bytes(1024, 0xe2, 0xe1, 0xf5, 0xe0)], identify: fixed({ label: [1088, 16], uuid: 1072 }) },
  { kind: "nilfs2", name: "NILFS2", magics: [bytes(1030, 0x34, 0x34)], identify: fixed({ label: [1192, 80], uuid: 1176 }) },
  { kind: "hfs+", name: "HFS+", magics: [bytes(1024, 0x48, 0x2b, 0, 4), bytes(1024, 0x48, 0x58, 0, 5)] },
  { kind: "hfs", name: "HFS", magics: [ascii(1024, "BD")], identify: hfs },
  { kind: "ocfs2", name: "OCFS2", magics: [2048, 4096, 8192].map((at) => ascii(at, "OCFSV2")) },
  {
    kind: "swap",
    name: "Linux swap",
    magics: [4096, 8192, 16384, 65536].map((page) => ascii(page - 10, "SWAPSPACE2")),
    identify: fixed({ label: [1052, 16], uuid: 1036 }),
  },
  { kind: "swap", name: "Linux swap", magics: [ascii(4086, "SWAP-SPACE")] },
  { kind: "raid", name: "Linux RAID", magics: [bytes(0, 0xfc, 0x4e, 0x2b, 0xa9), bytes(4096, 0xfc, 0x4e, 0x2b, 0xa9)] },
  { kind: "bcache", name: "bcache", magics: [bytes(4120, 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca)] },
  { kind: "btrfs", name: "Btrfs", magics: [ascii(65600, "_BHRfS_M")], identify: fixed({ label: [65835, 256], uuid: 65568 }) },
  {
    kind: "reiserfs",
    name: "ReiserFS",
    magics: ["ReIsErFs", "ReIsEr2Fs", "ReIsEr3Fs"].map((mark) => ascii(65588, mark)),
    identify: fixed({ label: [65636, 16], uuid: 65620 }),
  },
  { kind: "jfs", name: "JFS", magics: [ascii(32768, "JFS1")], identify: fixed({ label: [32920, 16], uuid: 32904 }) },
  { kind: "udf", name: "UDF", magics: [ascii(32769, "BEA01"), ascii(32769, "CD001")], identify: udf },
  { kind: "iso9660", name: "ISO 9660", magics: [ascii(32769, "CD001")], identify: fixed({ label: [32808, 32] }) },
  { kind: "zfs", name: "ZFS", magics: [bytes(16384, 1, 1, 0, 0), bytes(16384, 1, 0, 0, 0)], identify: zfs },
  {
    kind: "ufs",
    name: "UFS",
    magics: [8192, 65536].flatMap((at) => [bytes(at + 1372, 0x54, 0x19, 0x01, 0), bytes(at + 1372, 0x19, 0x01, 0x54, 0x19)]),
  },
  { kind: "vmfs", name: "VMware VMFS", magics: [bytes(0x200000, 0x5e, 0xf1, 0xab, 0x2f), bytes(0x100000, 0x0d, 0xd0, 0x01, 0xc0)] },
  { kind: "fat", name: "FAT", magics: [], identify: fat },
];

/** Inside Macintosh: Files, "Master Directory Blocks": an HFS volume may only wrap an HFS+ one. */
async function hfs(window: Window): Promise<Identity | null> {
  const block = await window.bytes(1024, 128);
  if (block === null) return null;
  const length = block[36] as number;
  if (length > 27 || viewOf(block).getUint32(20, false) % 512 !== 0) return null;
  const wraps = text(block.subarray(124, 126)) === "H+";
  return { ...(wraps ? { kind: "hfs+" } : {}), label: text(block.subarray(37, 37 + length), "macintosh"), uuid: null };
}
