import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { failure } from "../testing/failure.ts";
import { contextOf, testCompute } from "../testing/image-harness.ts";
import { type JudgeName, judge } from "../testing/judges.ts";
import { localPool } from "../testing/local-pool.ts";
import { openDisk } from "./chain.ts";
import { attachDisk, type Disk } from "./disk.ts";
import { readDisk } from "./read.ts";
import { resizeDisk, safeSize } from "./resize.ts";

const folder = mkdtempSync(join(tmpdir(), "resize-tables-"));
afterAll(() => rmSync(folder, { recursive: true }));
const pool = localPool(1);
const { signal } = new AbortController();
const sgdisk = judge("sgdisk");
const sfdisk = judge("sfdisk");
const MIB = 1 << 20;
const BACKUP = 33 * 512;

const diskOf = (bytes: Uint8Array): Promise<Disk> => openDisk(memorySource("disk.raw", bytes), contextOf(), "raw");
const safe = async (bytes: Uint8Array) => safeSize(await diskOf(bytes), pool, signal);
const resized = async (bytes: Uint8Array, size: number) => resizeDisk(await diskOf(bytes), size, pool, testCompute(), signal);
async function bytesAt(old: Uint8Array, size: number): Promise<Uint8Array> {
  const { disk } = await resized(old, size);
  const attached = attachDisk(disk, pool);
  try {
    return await readDisk(attached, pool, 0, size, signal);
  } finally {
    attached.detach();
  }
}
function made(maker: JudgeName, size: number, args: (path: string) => readonly string[], input = ""): Uint8Array<ArrayBuffer> {
  const path = join(folder, "made.raw");
  writeFileSync(path, "");
  truncateSync(path, size);
  judge(maker)!.must(args(path), { input });
  return new Uint8Array(readFileSync(path));
}
const saved = (bytes: Uint8Array): string => {
  const path = join(folder, "saved.raw");
  writeFileSync(path, bytes);
  return path;
};
const gptDisk = (size: number, ...args: string[]) => made("sgdisk", size, (path) => [...args, path]);
const mbrDisk = (size: number, script: string) => made("sfdisk", size, (path) => ["-q", path], `label: dos\n${script}`);

describe.skipIf(sgdisk === null || sfdisk === null)("a file system that is larger than its partition", () => {
  interface System {
    readonly name: string;
    readonly maker: JudgeName;
    readonly args: (path: string) => readonly string[];
    readonly size: number;
    readonly check: readonly [JudgeName, ...string[]];
  }
  const systems: readonly System[] = [
    {
      name: "ext4",
      maker: "mkfs.ext4",
      args: (path) => ["-q", "-F", "-b", "1024", path],
      size: 12_000 * 1024,
      check: ["e2fsck", "-fn"],
    },
    { name: "NTFS", maker: "mkntfs", args: (path) => ["-qFQ", "-s", "512", path], size: 12_000 * 1024, check: ["ntfsfix", "-n"] },
    { name: "FAT16", maker: "mkfs.fat", args: (path) => ["-F", "16", path], size: 12_000 * 1024, check: ["fsck.fat", "-n"] },
  ];
  const tables: readonly [string, number, () => Uint8Array][] = [
    ["GPT", BACKUP, () => gptDisk(16 * MIB, "-n", "1:2048:4095")],
    ["MBR", 0, () => mbrDisk(16 * MIB, "start=2048,size=2048,type=83\n")],
    ["logical", 0, () => mbrDisk(16 * MIB, "start=63,size=8000,type=5\nstart=2048,size=2048,type=83\n")],
  ];
  const cases = systems.flatMap((system) => tables.map(([table, behind, make]) => ({ ...system, table, behind, make })));
  test.for(cases)(
    "$name, $table: its end is the limit, and it stays whole",
    ({ name, maker, args, size, check, behind, make }, context) => {
      const [checker, ...checks] = check;
      context.skip(judge(maker) === null || judge(checker) === null, `${maker} or ${checker} is not installed`);
      return limited(make(), made(maker, size, args), { name, checker, checks, behind });
    },
  );
  async function limited(
    disk: Uint8Array,
    system: Uint8Array,
    { name, checker, checks, behind }: { name: string; checker: JudgeName; checks: readonly string[]; behind: number },
  ) {
    disk.set(system, MIB);
    const end = MIB + system.length;
    const { smallest, because, warnings } = await safe(disk);
    const number = because.match(/in partition (\d)/)?.[1];
    expect([smallest, because]).toEqual([
      end + behind,
      expect.stringContaining(`(${name}) ends at byte ${end}, though its partition ends`),
    ]);
    expect(warnings).toEqual([`The file system in partition ${number} (${name}) has ${system.length} bytes, the partition only ${MIB}.`]);
    const error = await failure(resized(disk, smallest - 512));
    expect([error.code, error.message]).toEqual(["limit", expect.stringContaining(because)]);
    const now = await bytesAt(disk, smallest);
    expect(Buffer.compare(now.subarray(MIB, end), system)).toBe(0);
    judge(checker)!.must([...checks, saved(now.subarray(MIB, end))]);
  }

  const ext4 = (kibibytes: number) => made("mkfs.ext4", kibibytes * 1024, (path) => ["-q", "-F", "-b", "1024", "-O", "^has_journal", path]);
  describe.skipIf(judge("mkfs.ext4") === null)("other places", () => {
    test("it counts though another partition ends later than its own", async () => {
      const disk = gptDisk(16 * MIB, "-n", "1:2048:4095", "-n", "2:4096:6143");
      disk.set(ext4(9000), MIB);
      expect(await safe(disk)).toMatchObject({
        smallest: MIB + 9000 * 1024 + BACKUP,
        because: expect.stringContaining("partition 1 (ext4)"),
      });
    });

    test("past the end of the disk: not a sector less, any size more", async () => {
      const [gpt, mbr] = [gptDisk(4 * MIB, "-n", "1:2048:4095"), mbrDisk(4 * MIB, "start=2048,size=2048,type=83\n")];
      for (const disk of [gpt, mbr]) {
        const tail = disk.slice(4 * MIB - BACKUP);
        disk.set(ext4(9000).subarray(0, 3 * MIB), MIB);
        if (disk === gpt) disk.set(tail, 4 * MIB - BACKUP);
        expect(await safe(disk)).toMatchObject({ smallest: 4 * MIB, because: expect.stringContaining("past the end of the disk") });
        expect((await failure(resized(disk, 4 * MIB - 512))).code).toBe("limit");
        const now = await bytesAt(disk, 4 * MIB + 512);
        if (disk === gpt) expect(sgdisk!.must(["-v", saved(now)])).toContain("No problems found");
      }
    });

    test("a backup GPT that has to move to the end of the disk does not lie in it", async () => {
      const disk = new Uint8Array(8 * MIB);
      disk.set(gptDisk(4 * MIB, "-n", "1:2048:4095"));
      disk.set(ext4(7 * 1024), MIB);
      const { smallest } = await safe(disk);
      expect(smallest).toBe(8 * MIB + BACKUP);
      expect((await failure(resized(disk, 8 * MIB))).code).toBe("limit");
      expect(Buffer.compare((await bytesAt(disk, smallest)).subarray(MIB, 8 * MIB), disk.subarray(MIB))).toBe(0);
    });

    test("one made over the whole disk, of which the boot record stayed", async () => {
      const disk = ext4(12_000);
      disk.set(mbrDisk(4 * MIB, "start=3000,size=2048,type=83\n").subarray(0, 512));
      const larger = new Uint8Array(16 * MIB);
      larger.set(disk);
      const { smallest, because, warnings } = await safe(larger);
      expect([smallest, because]).toEqual([12_000 * 1024, expect.stringContaining("Beside its partitions the disk begins with")]);
      expect(warnings).toEqual([because]);
    });
  });
});

describe.skipIf(sfdisk === null)("logical partitions", () => {
  const SCRIPT =
    "start=2048,size=2048,type=83\nstart=4096,size=20000,type=5\nstart=6144,size=2048,type=83\nstart=10240,size=2048,type=83\nstart=14336,size=2048,type=82\n";
  const sound = sfdisk === null ? new Uint8Array() : mbrDisk(20 * MIB, SCRIPT);
  const RECORDS = [4096, 8192, 12288];
  const EXTENDED_END = 24_096 * 512;
  const LAST = sound.length;
  type Change = readonly [record: number, entry: number, field: "type" | "start" | "count", value: number];
  function changed(...changes: readonly Change[]): Uint8Array {
    const disk = new Uint8Array(sound);
    const view = new DataView(disk.buffer);
    for (const [record, entry, field, value] of changes) {
      const at = record * 512 + 446 + entry * 16;
      if (field === "type") disk[at + 4] = value;
      else view.setUint32(at + (field === "start" ? 8 : 12), value, true);
    }
    return disk;
  }
  const spoilt = (record: number): Uint8Array => changed().fill(0, record * 512 + 510, record * 512 + 512);

  const cases: readonly [string, Uint8Array, number, RegExp][] = [
    ["sound ones", sound, EXTENDED_END, /Partition 2 \(Extended\)/],
    ["a link to the first record", changed([12_288, 1, "type", 5], [12_288, 1, "count", 9]), LAST, /in a circle at byte 2097152/],
    ["a link to its own record", changed([8192, 1, "start", 4096]), LAST, /in a circle at byte 4194304/],
    ["a link to what is no record", changed([8192, 1, "start", 5000]), LAST, /no extended boot record at byte 4657152/],
    ["a link past the end of the disk", changed([8192, 1, "start", 99_999]), LAST, /past the end of the disk/],
    ["a first record that is none", spoilt(4096), LAST, /no extended boot record at byte 2097152/],
    ["a last record that is none", spoilt(12_288), LAST, /no extended boot record at byte 6291456/],
    ["one that leaves the extended partition", changed([12_288, 0, "count", 20_000]), 34_336 * 512, /Partition 7/],
    ["one that begins behind it", changed([8192, 0, "start", 20_000]), 30_240 * 512, /Partition 6/],
    [
      "one in the second place of a record",
      changed([12_288, 1, "type", 0x83], [12_288, 1, "start", 13_000], [12_288, 1, "count", 9000]),
      34_288 * 512,
      /Partition 8/,
    ],
    [
      "what is no partition in the third place",
      changed([12_288, 2, "start", 13_000], [12_288, 2, "count", 22_000]),
      EXTENDED_END,
      /Partition 2/,
    ],
    [
      "one in the third place alone",
      changed([12_288, 0, "count", 0], [12_288, 2, "start", 13_000], [12_288, 2, "count", 9000]),
      34_288 * 512,
      /Partition 7/,
    ],
    [
      "one of type 0, which Linux sees",
      changed([12_288, 0, "type", 0], [12_288, 0, "count", 20_000]),
      34_336 * 512,
      /Partition 7 \(Unused\)/,
    ],
    ["two that overlap", changed([8192, 0, "count", 9000]), EXTENDED_END, /Partition 2/],
  ];
  test.each(cases)("%s", async (_, disk, limit, told) => {
    const { smallest, because } = await safe(disk);
    expect([smallest, because]).toEqual([limit, expect.stringMatching(told)]);
    const error = await failure(resized(disk, limit - 512));
    expect([error.code, error.message]).toEqual(["limit", expect.stringMatching(told)]);
    const grown = await bytesAt(disk, LAST + MIB);
    expect(Buffer.compare(grown.subarray(0, LAST), disk)).toBe(0);
    const verdict = (bytes: Uint8Array) => {
      const { status, stdout, stderr } = sfdisk!.run(["-J", saved(bytes)]);
      return [status, stdout, stderr.replaceAll(/\d+/g, "")];
    };
    expect(verdict(grown)).toEqual(verdict(disk));
  });

  test("records outside the extended partition are followed", async () => {
    const disk = changed([12_288, 1, "type", 5], [12_288, 1, "start", 30_000 - 4096], [12_288, 1, "count", 3000]);
    disk.set(disk.subarray(12_288 * 512, 12_289 * 512), 30_000 * 512);
    disk.fill(0, 30_000 * 512 + 462, 30_000 * 512 + 478);
    expect(await safe(disk)).toMatchObject({ smallest: (30_000 + 2048 + 2048) * 512, because: expect.stringContaining("Partition 8") });
  });

  test("whatever the records say, nothing is cut that sfdisk lists", async () => {
    const change = fc.tuple(
      fc.constantFrom(...RECORDS),
      fc.nat(3),
      fc.constantFrom<Change[2]>("type", "start", "count"),
      fc.constantFrom(0, 1, 5, 0x0f, 0x83, 2048, 4096, 6144, 8192, 10_240, 20_000, 25_000, 38_000, 0x80000000, 0xffffffff),
    );
    let shrunk = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const disk = changed(...changes);
        const { smallest } = await safe(disk);
        if (smallest < disk.length) shrunk++;
        // Remarks stand in front of the list, and a table that it takes for none has no list.
        const [list = "{}"] = /^\{.*/ms.exec(sfdisk!.run(["-J", saved(disk)]).stdout) ?? [];
        const listed: { start: number; size: number }[] = JSON.parse(list).partitiontable?.partitions ?? [];
        for (const { start, size } of listed) expect(smallest).toBeGreaterThanOrEqual(Math.min((start + size) * 512, disk.length));
      }),
      { numRuns: 40 },
    );
    expect(shrunk).toBeGreaterThan(5);
  });
});
