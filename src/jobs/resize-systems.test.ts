import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createOverlay } from "../core/overlay.ts";
import { noise } from "../testing/disks.ts";
import { failure } from "../testing/failure.ts";
import { openFileSource } from "../testing/file-source.ts";
import { testCompute } from "../testing/image-harness.ts";
import { type JudgeName, judge } from "../testing/judges.ts";
import { BACKUP, blank, diskOf, fileDisk, folder, gptDisk, MIB, resized, safe, save, sgdisk } from "../testing/resizing.ts";
import { createDisk, type Disk } from "./disk.ts";

describe("what shrinking would cut", () => {
  interface System {
    readonly name: string;
    readonly maker: JudgeName;
    readonly args: (path: string) => readonly string[];
    readonly size: number;
    readonly disk: number;
    readonly check: readonly [JudgeName, ...string[]];
  }
  const systems: readonly System[] = [
    {
      name: "ext4",
      maker: "mkfs.ext4",
      args: (path) => ["-q", "-F", "-b", "1024", path, "30000"],
      size: 30_000 * 1024,
      disk: 40 * MIB,
      check: ["e2fsck", "-fn"],
    },
    {
      name: "NTFS",
      maker: "mkntfs",
      args: (path) => ["-qFQ", "-s", "512", path, "40000"],
      size: 40_000 * 512,
      disk: 40 * MIB,
      check: ["ntfsfix", "-n"],
    },
    {
      name: "FAT32",
      maker: "mkfs.fat",
      args: (path) => ["-F", "32", path, "36000"],
      size: 36_000 * 1024,
      disk: 40 * MIB,
      check: ["fsck.fat", "-n"],
    },
    {
      name: "XFS",
      maker: "mkfs.xfs",
      args: (path) => ["-q", "-d", "size=300m", path],
      size: 300 * MIB,
      disk: 320 * MIB,
      check: ["xfs_repair", "-n"],
    },
    {
      name: "Btrfs",
      maker: "mkfs.btrfs",
      args: (path) => ["-q", "-b", "128m", path],
      size: 128 * MIB,
      disk: 160 * MIB,
      check: ["btrfs", "check"],
    },
  ];
  describe.each(systems)("$name", ({ name, maker, args, size, disk: diskSize, check: [checker, ...checks] }) => {
    test.skipIf(judge(maker) === null || judge(checker) === null)(
      "alone on the disk: its own size is the limit",
      { timeout: 60_000 },
      async () => {
        const path = blank("alone.raw", diskSize);
        judge(maker)!.must(args(path));
        const disk = await fileDisk(path);
        const { smallest, because } = await safe(disk);
        expect([smallest, because]).toEqual([size, expect.stringContaining(`one file system, ${name}, of ${size} bytes`)]);
        expect(await failure(resized(disk, size - 512))).toMatchObject({
          code: "limit",
          message: expect.stringContaining(`smallest safe size is ${size} bytes`),
        });
        judge(checker)!.must([...checks, await save((await resized(disk, size)).disk, "cut.raw")], { seconds: 60 });
      },
    );

    test.skipIf(judge(maker) === null || sgdisk === null)(
      "in a partition: the partition's end is the limit",
      { timeout: 60_000 },
      async () => {
        const inner = blank("inner.raw", diskSize);
        judge(maker)!.must(args(inner));
        const disk = await behindTable(inner, diskSize, diskSize);
        const { smallest, because } = await safe(disk);
        expect(smallest).toBe(diskSize + MIB + BACKUP);
        expect(because).toContain(`Partition 1 (${name}) ends at byte ${diskSize + MIB}.`);
        expect(because).toContain(`needs only ${size} of its ${diskSize} bytes`);
        expect((await failure(resized(disk, smallest - 512))).code).toBe("limit");
        expect((await resized(disk, smallest)).disk.size).toBe(smallest);
        // A partition that was made smaller than its file system.
        const outgrown = await behindTable(inner, diskSize, Math.floor(size / 2 / MIB) * MIB);
        const limit = await safe(outgrown);
        expect(limit.smallest).toBe(MIB + size + BACKUP);
        expect(limit.because).toContain(`The file system in partition 1 (${name}) ends at byte ${MIB + size}`);
        expect((await failure(resized(outgrown, limit.smallest - 512))).message).toContain(limit.because);
      },
    );
  });

  /** A disk 8 MiB larger than what is in the file, with a GPT and, from 1 MiB on, a partition of so many bytes where that begins. */
  async function behindTable(inner: string, innerSize: number, partition: number): Promise<Disk> {
    const path = blank("outer.raw", innerSize + 8 * MIB);
    sgdisk!.must(["-n", `1:2048:${2048 + partition / 512 - 1}`, path]);
    using outer = openFileSource(path);
    const [head, tail] = [await outer.read(0, MIB), await outer.read(innerSize + MIB, 7 * MIB)];
    const layer = (await fileDisk(inner)).chain[0]!;
    const table = createOverlay(innerSize + 8 * MIB, [
      { start: 0, length: MIB, bytes: head },
      { start: innerSize + MIB, length: 7 * MIB, bytes: tail },
    ]);
    const moved = { ...layer, size: innerSize + MIB, extents: (start: number, length: number) => shifted(layer, start, length) };
    return createDisk([table, moved], testCompute().mergeLayers);
  }

  /** The volume's bytes 1 MiB further back. */
  async function shifted(volume: Disk["chain"][number], start: number, length: number) {
    if (start < MIB) return [{ kind: "hole" as const, start, length: Math.min(length, MIB - start) }];
    return (await volume.extents(start - MIB, length)).map((extent) => ({ ...extent, start: extent.start + MIB }));
  }

  test.skipIf(judge("mkfs.ext4") === null || sgdisk === null)("a backup GPT that an earlier table left behind does not count", async () => {
    const path = join(folder, "left.raw");
    writeFileSync(path, gptDisk(40 * MIB, "-n", "1:2048:40000"));
    judge("mkfs.ext4")!.must(["-q", "-F", "-b", "1024", path, "30000"]);
    expect(await safe(await fileDisk(path))).toMatchObject({ smallest: 30_000 * 1024, because: expect.stringContaining("ext4") });
    // Nor does a boot sector that lists no partition.
    const bootable = new Uint8Array(readFileSync(path));
    bootable.set([0x55, 0xaa], 510);
    expect((await safe(await diskOf(bootable))).smallest).toBe(30_000 * 1024);
  });

  test.skipIf(judge("mkfs.ext4") === null)("a file system that is larger than its disk is told", async () => {
    const path = blank("short.raw", 40 * MIB);
    judge("mkfs.ext4")!.must(["-q", "-F", "-b", "1024", path]);
    copyFileSync(path, join(folder, "cut.raw"));
    truncateSync(join(folder, "cut.raw"), 39 * MIB);
    const disk = await fileDisk(join(folder, "cut.raw"));
    expect(await safe(disk)).toMatchObject({ smallest: 40 * MIB, warnings: [expect.stringContaining("its end was cut off")] });
    expect((await failure(resized(disk, 38 * MIB))).code).toBe("limit");
    expect((await resized(disk, 39.5 * MIB)).disk.size).toBe(39.5 * MIB);
  });

  test.skipIf(judge("cryptsetup") === null)("a container may use the disk to its end", async () => {
    const path = blank("luks.raw", 20 * MIB);
    judge("cryptsetup")!.must(["luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000", "-q", path, "-"], { input: "secret" });
    expect(await safe(await fileDisk(path))).toMatchObject({ smallest: 20 * MIB, because: expect.stringContaining("LUKS") });
  });

  test.skipIf(judge("parted") === null)("partition tables that are not read here: the disk can only grow", async () => {
    for (const [label, name] of [
      ["mac", "Apple"],
      ["sun", "Sun"],
      ["bsd", "BSD"],
      ["dvh", "SGI"],
    ] as const) {
      const path = blank("foreign.raw", 8 * MIB);
      judge("parted")!.must(["-s", path, "mklabel", label]);
      expect(await safe(await fileDisk(path))).toMatchObject({ smallest: 8 * MIB, because: expect.stringContaining(name) });
    }
  });

  test("nothing recognised: what the image holds as zeros or not at all may be cut", async () => {
    const layer = createOverlay(8 * MIB, [
      { start: 0, length: 5000, bytes: noise(5000, 1) },
      { start: MIB, length: 1001, bytes: noise(1001, 2) },
      { start: 2 * MIB, length: MIB, bytes: null },
    ]);
    const disk = createDisk([layer], testCompute().mergeLayers);
    expect(await safe(disk)).toMatchObject({
      smallest: MIB + 1024,
      because: expect.stringContaining(`last data ends at byte ${MIB + 1001}`),
    });
    expect((await failure(resized(disk, MIB + 512))).code).toBe("limit");
    expect((await safe(createDisk([createOverlay(MIB, [])], testCompute().mergeLayers))).smallest).toBe(512);
  });
});
