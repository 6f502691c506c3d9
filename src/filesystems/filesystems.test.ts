import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { noise } from "../testing/disks.ts";
import { corpusFolder, type JudgeName, judge, readTable } from "../testing/judges.ts";
import { identify } from "./index.ts";
import { SIGNATURES } from "./signatures.ts";

const folder = mkdtempSync(join(tmpdir(), "filesystems-"));
afterAll(() => rmSync(folder, { recursive: true }));
const blkid = judge("blkid");
const MIB = 1 << 20;

/** Reads inside the disk only, and counts. */
function readerOf(disk: Uint8Array) {
  const counter = { bytes: 0 };
  const read = async (at: number, length: number) => {
    if (at < 0 || at + length > disk.length) throw new Error(`read of ${at}+${length} in a disk of ${disk.length}`);
    counter.bytes += length;
    return disk.slice(at, at + length);
  };
  return { read, counter };
}
const identityOf = (disk: Uint8Array) => identify(readerOf(disk).read, 0, disk.length);

/** blkid's names for the same things. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  vfat: ["fat12", "fat16", "fat32"],
  crypto_LUKS: ["luks"],
  LVM2_member: ["lvm2"],
  hfsplus: ["hfs+"],
  BitLocker: ["bitlocker"],
  zfs_member: ["zfs"],
  linux_raid_member: ["raid"],
  VMFS_volume_member: ["vmfs"],
  swsuspend: ["swap"],
};
function judged(path: string): Readonly<Record<string, string>> {
  const lines = blkid!.run(["-p", "-o", "udev", path]).stdout.trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)).map(([name, value]) => [name, decoded(value ?? "")]));
}
/** udev's form has \xHH for every byte that is not plain; a label that is no UTF-8 is Latin-1. */
function decoded(value: string): string {
  const bytes = Buffer.from(
    Buffer.from(value)
      .toString("latin1")
      .replaceAll(/\\x(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  );
  return bytes.toString().includes("\ufffd") ? bytes.toString("latin1") : bytes.toString();
}

describe.skipIf(blkid === null)("made here, judged by blkid", () => {
  const makers: readonly [JudgeName, readonly string[], number][] = [
    ["mkfs.ext4", ["-q", "-F", "-L", "Wurzel"], 8],
    ["mkfs.ext4", ["-q", "-F", "-t", "ext3", "-L", "old"], 8],
    ["mkfs.ext4", ["-q", "-F", "-t", "ext2"], 8],
    ["mkfs.fat", ["-F", "12", "-n", "TWELVE"], 2],
    ["mkfs.fat", ["-F", "16", "-n", "SIXTEEN"], 16],
    ["mkfs.fat", ["-F", "32", "-n", "EFI DISK"], 40],
    ["mkfs.fat", ["-F", "32"], 40],
    ["mkntfs", ["-q", "-F", "-L", "Fenster größer"], 8],
    ["mkswap", ["-q", "-L", "auslagern"], 2],
  ];
  for (const [name, args, size] of makers) {
    const tool = judge(name);
    test.skipIf(tool === null)(`${name} ${args.join(" ")}`, async () => {
      const path = join(folder, "fs.img");
      writeFileSync(path, new Uint8Array(size * MIB));
      tool!.must([...args, path]);
      const expected = judged(path);
      const found = await identityOf(new Uint8Array(readFileSync(path)));
      expect(KINDS[expected["ID_FS_TYPE"] as string] ?? [expected["ID_FS_TYPE"]]).toContain(found?.kind);
      expect(found?.label).toBe(expected["ID_FS_LABEL_ENC"] ?? "");
      expect(found?.uuid).toBe(expected["ID_FS_UUID_ENC"]);
    });
  }
});

const corpus = corpusFolder();
const xz = judge("xz");
const gzip = judge("gzip");
/** Kinds that are not told apart here: rare on virtual machines' disks. */
const UNKNOWN = ["befs", "ceph_bluestore", "drbdmanage_control_volume", "hpfs", "hpt45x_raid_member", "jmicron_raid_member"];
UNKNOWN.push("lsi_mega_raid_member", "minix", "reiser4", "romfs", "ubifs", "xfs_external_log", "zonefs");

describe.skipIf(corpus === null || xz === null || gzip === null)("real ones, by the corpus' manifest", () => {
  const all = corpus === null ? [] : readTable(readFileSync(join(corpus, "manifest.tsv"), "utf8"));
  const rows = all.filter((row) => /^fs=/.test(row["content"] as string) && /^[^ ]*\.(img|raw)(\.[xg]z)?$/.test(row["name"] as string));
  // Of the two large sets of damaged ext and Btrfs images every twentieth is enough: they differ behind the superblock.
  const isRepetitive = ({ name }: Readonly<Record<string, string>>) => /^(e2fsprogs|btrfs-progs)\//.test(name as string);
  const wanted = rows.filter((row, i) => Number(row["virtual_size"]) <= 256 * MIB && (!isRepetitive(row) || i % 20 === 0));
  const unpacked = (name: string): Uint8Array => {
    const path = join(corpus as string, "files", name);
    const tool = name.endsWith(".xz") ? xz : name.endsWith(".gz") ? gzip : null;
    return tool === null ? new Uint8Array(readFileSync(path)) : tool.bytes(["-dc", path]);
  };
  test.each(wanted.map((row) => [row["name"] as string, (row["content"] as string).slice(3)]))("%s is %s", async (name, type) => {
    const disk = unpacked(name);
    const { read, counter } = readerOf(disk);
    const found = await identify(read, 0, disk.length);
    expect(counter.bytes).toBeLessThan(256 * 1024);
    if (UNKNOWN.includes(type)) expect(found).toBeNull();
    else expect(KINDS[type] ?? [type]).toContain(found?.kind);
  });
  const known = wanted.filter((row) => !UNKNOWN.includes((row["content"] as string).slice(3)));
  test.skipIf(blkid === null).each(known.map((row) => row["name"] as string))("%s: label and id as blkid finds them", async (name) => {
    const disk = unpacked(name);
    const found = (await identityOf(disk)) as NonNullable<Awaited<ReturnType<typeof identityOf>>>;
    const copy = join(folder, "copy.img");
    writeFileSync(copy, disk);
    const expected = judged(copy);
    if (expected["ID_FS_UUID_ENC"] !== undefined && found.uuid !== null) expect(found.uuid).toBe(expected["ID_FS_UUID_ENC"]);
    if (found.label !== "" && found.kind !== "iso9660")
      expect([expected["ID_FS_LABEL_ENC"], expected["ID_FS_LABEL_FATBOOT_ENC"]]).toContain(found.label);
  });
});

test("nothing is found in zeros, in noise and in a few bytes", async () => {
  expect(await identityOf(new Uint8Array(3 * MIB))).toBeNull();
  expect(await identityOf(noise(3 * MIB, 3))).toBeNull();
  for (const length of [0, 1, 511, 512, 1100, 4096, 40000]) expect(await identityOf(new Uint8Array(length))).toBeNull();
});

test("a mark in the midst of noise never breaks the reading", async () => {
  const marked = SIGNATURES.flatMap(({ magics }) => magics).filter(({ at }) => at < 128 * 1024);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...marked),
      fc.nat(),
      fc.integer({ min: 600, max: 128 * 1024 }),
      async ({ at, bytes }, seed, length) => {
        const disk = noise(length, seed);
        if (at + bytes.length <= length) disk.set(bytes, at);
        await identityOf(disk);
      },
    ),
    { numRuns: 150 },
  );
});
