import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { noise } from "../testing/disks.ts";
import { openFileSource } from "../testing/file-source.ts";
import { type JudgeName, judge } from "../testing/judges.ts";
import { extentOf, identify } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "extent-"));
afterAll(() => rmSync(folder, { recursive: true }));
const MIB = 1 << 20;

/** A file system made on the first `made` bytes of a volume of `volume`. */
interface Case {
  readonly kind: string;
  readonly maker: JudgeName;
  readonly args: readonly string[];
  /** Behind the path: the size, as the program wants it. */
  readonly size: readonly string[];
  readonly made: number;
  readonly volume: number;
  /** A program that fails when the volume lacks an end of `cut` bytes. */
  readonly checker: JudgeName;
  readonly checks: readonly string[];
  readonly cut: number;
}
const fatCase = (bits: number, kibibytes: number): Case => ({
  kind: `fat${bits}`,
  maker: "mkfs.fat",
  args: ["-F", String(bits)],
  size: [String(kibibytes)],
  made: kibibytes * 1024,
  volume: 48 * MIB,
  checker: "fsck.fat",
  checks: ["-n"],
  cut: 512,
});
const extCase = (kind: string, blockBytes: number, blocks: number, options: readonly string[] = []): Case => ({
  kind,
  maker: "mkfs.ext4",
  args: ["-q", "-F", "-t", kind, "-b", String(blockBytes), ...options],
  size: [String(blocks)],
  made: blocks * blockBytes,
  volume: 48 * MIB,
  checker: "e2fsck",
  checks: ["-fn"],
  cut: blockBytes,
});
const CASES: readonly Case[] = [
  extCase("ext4", 1024, 40_000),
  extCase("ext4", 4096, 9999, ["-O", "64bit,^sparse_super,sparse_super2,^resize_inode", "-g", "2048"]),
  extCase("ext4", 4096, 2000, ["-O", "^64bit,bigalloc", "-C", "16384"]),
  extCase("ext3", 2048, 20_001),
  extCase("ext2", 1024, 5000),
  {
    kind: "ntfs",
    maker: "mkntfs",
    args: ["-q", "-F", "-Q", "-s", "512"],
    size: ["40000"],
    made: 40_000 * 512,
    volume: 24 * MIB,
    checker: "ntfsfix",
    checks: ["-n"],
    cut: 512,
  },
  {
    kind: "ntfs",
    maker: "mkntfs",
    args: ["-q", "-F", "-Q", "-s", "4096"],
    size: ["5001"],
    made: 5001 * 4096,
    volume: 24 * MIB,
    checker: "ntfsfix",
    checks: ["-n"],
    cut: 4096,
  },
  fatCase(12, 2992),
  fatCase(16, 20_000),
  fatCase(32, 44_992),
  {
    kind: "exfat",
    maker: "mkfs.exfat",
    args: [],
    size: [],
    made: 8 * MIB,
    volume: 8 * MIB,
    checker: "fsck.exfat",
    checks: ["-n"],
    cut: 512,
  },
  {
    kind: "xfs",
    maker: "mkfs.xfs",
    args: ["-q", "-d", "size=300m"],
    size: [],
    made: 300 * MIB,
    volume: 400 * MIB,
    checker: "xfs_repair",
    checks: ["-n"],
    cut: 4096,
  },
  {
    kind: "btrfs",
    maker: "mkfs.btrfs",
    args: ["-q", "-b", "128m"],
    size: [],
    made: 128 * MIB,
    volume: 200 * MIB,
    checker: "btrfs",
    checks: ["check"],
    cut: 4096,
  },
  {
    kind: "btrfs",
    maker: "mkfs.btrfs",
    args: ["-q", "--mixed", "-b", "20m"],
    size: [],
    made: 20 * MIB,
    volume: 32 * MIB,
    checker: "btrfs",
    checks: ["check"],
    cut: 4096,
  },
  { kind: "swap", maker: "mkswap", args: ["-q"], size: [], made: 3 * MIB, volume: 3 * MIB, checker: "mkswap", checks: ["-V"], cut: 0 },
];
const program = judge;

function make({ maker, args, size, volume }: Case): string {
  const path = join(folder, "volume.img");
  writeFileSync(path, "");
  truncateSync(path, volume);
  program(maker)?.must([...args, path, ...size]);
  return path;
}
async function extentIn(path: string) {
  using source = openFileSource(path);
  const read = (at: number, length: number) => source.read(at, length);
  const kind = (await identify(read, 0, source.size))?.kind ?? "none";
  return { kind, extent: await extentOf(kind, read, 0, source.size) };
}

describe("made by each system's own program, and judged by its checker", () => {
  for (const made of CASES) {
    const checker = program(made.checker);
    test.skipIf(program(made.maker) === null || checker === null)(`${made.kind}: ${made.args.join(" ")}`, { timeout: 60_000 }, async () => {
      const path = make(made);
      const { kind, extent } = await extentIn(path);
      expect(kind).toBe(made.kind);
      expect(extent).toMatchObject({ length: made.made, doubt: null });
      if (made.cut === 0) return;
      /** e2fsck ends with 0 when it is told to go on over a volume that is too short. */
      const complaint = (): string | null => {
        const { status, stdout } = checker!.run([...made.checks, path], { seconds: 60 });
        return status !== 0 || stdout.includes("likely to be corrupt") ? stdout : null;
      };
      // Nothing behind it is needed, and nothing less will do.
      truncateSync(path, made.made);
      expect(complaint()).toBeNull();
      expect((await extentIn(path)).extent).toEqual(extent);
      truncateSync(path, made.made - made.cut);
      expect(complaint()).not.toBeNull();
      expect((await extentIn(path)).extent).toMatchObject({ length: made.made });
    });
  }
});

describe("copies of the superblock that say otherwise", () => {
  /** Where a copy states the size, and what makes it say twice as much. */
  const copies: readonly [kind: string, at: number, bytes: number, little: boolean][] = [
    ["ext4", 8193 * 1024 + 4, 4, true],
    ["fat32", 6 * 512 + 32, 4, true],
    ["exfat", 12 * 512 + 72, 8, true],
    ["btrfs", 64 * MIB + 0x70, 8, true],
  ];
  const hasMakers = copies.every(([kind]) => program((CASES.find((made) => made.kind === kind) as Case).maker) !== null);
  test.skipIf(!hasMakers).each(copies)("%s: the larger size counts, and it is told", async (kind, at, bytes, little) => {
    const made = CASES.find((candidate) => candidate.kind === kind) as Case;
    const path = make(made);
    const disk = readFileSync(path);
    const view = new DataView(disk.buffer, disk.byteOffset);
    if (bytes === 8) view.setBigUint64(at, view.getBigUint64(at, little) * 2n, little);
    else view.setUint32(at, view.getUint32(at, little) + 512, little);
    const read = async (start: number, length: number) => new Uint8Array(disk.subarray(start, start + length));
    const extent = await extentOf(kind, read, 0, disk.length);
    if (kind === "ext4") expect(extent).toMatchObject({ length: made.made + 512 * 1024 });
    else expect(extent?.length).toBeGreaterThan(made.made);
    expect(extent?.doubt).toContain("the backup of it");
  });

  test.skipIf(program("mkntfs") === null)("ntfs: the copy of the boot sector is missing", async () => {
    const path = make(CASES.find(({ kind }) => kind === "ntfs") as Case);
    const copy = join(folder, "copy.img");
    copyFileSync(path, copy);
    truncateSync(copy, 39_999 * 512);
    expect((await extentIn(copy)).extent).toMatchObject({ length: 40_000 * 512, doubt: expect.stringContaining("boot sector") });
  });
});

test("containers and unknown kinds have no size of their own", async () => {
  const read = async (_: number, length: number) => new Uint8Array(length);
  for (const kind of ["luks", "lvm2", "zfs", "raid", "bitlocker", "jbd", "none", "toString"])
    expect(await extentOf(kind, read, 0, MIB)).toBeNull();
});

/** One small one of each kind. */
const smallCases = CASES.filter(({ kind, volume }, i) => volume <= 64 * MIB && CASES.findIndex((made) => made.kind === kind) === i);
const hasSmallMakers = smallCases.every(({ maker }) => program(maker) !== null);
test.skipIf(!hasSmallMakers)("whatever stands in a superblock, the answer is a size or none", async () => {
  const disks = new Map(smallCases.map((made) => [made.kind, new Uint8Array(readFileSync(make(made)).subarray(0, 16 * MIB))]));
  disks.set("xfs", noise(MIB, 5));
  disks.set("btrfs", noise(MIB, 6));
  disks.get("xfs")!.set([0x58, 0x46, 0x53, 0x42, 0, 0, 0x10, 0]);
  const edits = fc.array(
    fc.tuple(fc.oneof(fc.nat(511), fc.integer({ min: 1024, max: 1500 }), fc.integer({ min: 65536, max: 66000 })), fc.nat(255)),
    {
      minLength: 1,
      maxLength: 8,
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...disks.keys()), edits, async (kind, changes) => {
      const disk = disks.get(kind) as Uint8Array;
      const edited = new Map(changes);
      const read = async (at: number, length: number) => {
        if (at < 0 || length > 4096 || at + length > disk.length) throw new Error(`a read of ${at}+${length}`);
        const bytes = disk.slice(at, at + length);
        for (const [place, value] of edited) if (place >= at && place < at + length) bytes[place - at] = value;
        return bytes;
      };
      const extent = await extentOf(kind, read, 0, disk.length);
      if (extent !== null) expect(Number.isSafeInteger(extent.length) && extent.length > 0).toBe(true);
    }),
    { numRuns: 300 },
  );
});
