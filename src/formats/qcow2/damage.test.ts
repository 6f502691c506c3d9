import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { CheckReport, DiskFormat } from "../../core/model.ts";
import type { TargetFormat } from "../../core/target.ts";
import { diskBytes, diskOf, noise, type TestDisk } from "../../testing/disks.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { qcow2 } from "./index.ts";

const target = qcow2.target as TargetFormat;
const check = qcow2.check as NonNullable<DiskFormat["check"]>;
const K64 = 0x10000;

const block = (seed: number) => noise(K64, seed);
const DISK = diskOf(
  4 << 20,
  K64,
  new Map([
    [0, block(1)],
    [1, block(2)],
    [2, block(3)],
    [9, block(4)],
  ]),
);
/** Where the writer puts things for DISK. */
const DATA = K64;
const L2 = 5 * K64;
const L1 = 6 * K64;
const REFCOUNTS = 7 * K64;
const REFCOUNT_TABLE = 8 * K64;

const made = new Map<string, Promise<Uint8Array>>();
/** DISK as an image; the same for every test, to be copied before it is changed. */
function imageOf(disk: TestDisk, options: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
  const key = JSON.stringify([disk.size, options]);
  const image = made.get(key) ?? makeImage(disk, options);
  made.set(key, image);
  return image;
}
async function makeImage(disk: TestDisk, options: Readonly<Record<string, string>>): Promise<Uint8Array> {
  const image = await writeImage(target.create(specFor(target, disk.size, "disk.qcow2", options), testCompute()), disk);
  return (image.files[0] as unknown as { read(at: number, length: number): Promise<Uint8Array> }).read(0, image.sizes[0] as number);
}

type Change = readonly [at: number, bytes: 1 | 2 | 4 | 8, value: number | bigint];
function changed(image: Uint8Array, changes: readonly Change[]): Uint8Array {
  const copy = image.slice();
  const view = new DataView(copy.buffer);
  for (const [at, bytes, value] of changes) {
    if (bytes === 8) view.setBigUint64(at, BigInt(value));
    else if (bytes === 4) view.setUint32(at, Number(value));
    else if (bytes === 2) view.setUint16(at, Number(value));
    else view.setUint8(at, Number(value));
  }
  return copy;
}

/** `toEqual` takes minutes for megabytes. */
const expectSame = (actual: Uint8Array, expected: Uint8Array) => expect(Buffer.compare(actual, expected)).toBe(0);

const open = (bytes: Uint8Array) => qcow2.open(memorySource("disk.qcow2", bytes), contextOf());
/** The error of opening or else of reading it. */
async function failure(bytes: Uint8Array): Promise<DiskError | null> {
  try {
    await readVolume(await open(bytes));
    return null;
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
}
const COPIED = 1n << 63n;
const COMPRESSED = 1n << 62n;

const REFUSED: ReadonlyArray<readonly [what: string, code: string, message: RegExp, changes: readonly Change[]]> = [
  ["version 1", "unsupported", /version is 1/, [[4, 4, 1]]],
  ["version 4", "unsupported", /version is 4/, [[4, 4, 4]]],
  [
    "backing name too long",
    "corrupt",
    /backing_file_size/,
    [
      [8, 8, 4096],
      [16, 4, 1024],
    ],
  ],
  ["backing name without length", "corrupt", /backing_file_size/, [[8, 8, 4096]]],
  [
    "backing name outside the cluster",
    "corrupt",
    /backing_file_offset/,
    [
      [8, 8, K64 - 2],
      [16, 4, 3],
    ],
  ],
  [
    "backing name inside the header",
    "corrupt",
    /backing_file_offset/,
    [
      [8, 8, 8],
      [16, 4, 3],
    ],
  ],
  ["cluster_bits 8", "corrupt", /cluster_bits is 8/, [[20, 4, 8]]],
  ["cluster_bits 22", "corrupt", /cluster_bits is 22/, [[20, 4, 22]]],
  ["size past 2^53", "limit", /size/, [[24, 8, 1n << 60n]]],
  ["size beyond the L1 table", "corrupt", /l1_size/, [[24, 8, 1 << 30]]],
  ["size 0 with data", "corrupt", /size is 0/, [[24, 8, 0]]],
  ["size too small for the L2 table", "corrupt", /past the end of the disk/, [[24, 8, 512]]],
  ["crypt_method 3", "unsupported", /crypt_method/, [[32, 4, 3]]],
  ["crypt_method 1 without a passphrase", "passphrase", /encrypted/, [[32, 4, 1]]],
  ["crypt_method 2 without a LUKS header", "corrupt", /crypt_method is 2/, [[32, 4, 2]]],
  ["l1_size 0", "corrupt", /l1_size/, [[36, 4, 0]]],
  ["l1_size above the limit", "corrupt", /l1_size/, [[36, 4, 0x400001]]],
  ["L1 table over the header", "corrupt", /l1_table_offset/, [[40, 8, 0]]],
  ["L1 table unaligned", "corrupt", /l1_table_offset/, [[40, 8, L1 + 512]]],
  ["L1 table past the end", "corrupt", /l1_table_offset/, [[40, 8, 9 * K64]]],
  ["data file bit without a data file", "missing-file", /external data file/, [[79, 1, 4]]],
  ["compression bit without a type", "corrupt", /compression_type/, [[79, 1, 8]]],
  ["compression type without the bit", "corrupt", /compression_type/, [[104, 1, 1]]],
  [
    "compression type 2",
    "unsupported",
    /compression_type is 2/,
    [
      [79, 1, 8],
      [104, 1, 2],
    ],
  ],
  ["unknown incompatible bit", "unsupported", /incompatible feature 62/, [[72, 1, 0x40]]],
  ["refcount_order 7", "corrupt", /refcount_order/, [[96, 4, 7]]],
  ["header_length 96", "corrupt", /header_length/, [[100, 4, 96]]],
  ["header_length 105", "corrupt", /header_length/, [[100, 4, 105]]],
  ["header_length past the cluster", "corrupt", /header_length/, [[100, 4, K64 + 8]]],
  [
    "header extension too long",
    "corrupt",
    /extension/,
    [
      [112, 4, 0xdeadbeef],
      [116, 4, 0xffffffff],
    ],
  ],
  [
    "bitmaps extension too short",
    "corrupt",
    /bitmaps/,
    [
      [112, 4, 0x23852875],
      [116, 4, 8],
    ],
  ],
  [
    "LUKS header without encryption",
    "corrupt",
    /crypt_method/,
    [
      [112, 4, 0x0537be77],
      [116, 4, 16],
    ],
  ],
  ["extended L2 with standard tables", "corrupt", /subcluster/, [[79, 1, 16]]],
  ["L1 entry past the end", "corrupt", /L1 entry 0 .*past the end/, [[L1, 8, COPIED | 0x1000000n]]],
  ["L1 entry unaligned", "corrupt", /L1 entry 0/, [[L1, 8, COPIED | BigInt(L2 + 512)]]],
  ["L1 entry with reserved bits", "corrupt", /L1 entry 0 has reserved/, [[L1, 8, COPIED | BigInt(L2 + 1)]]],
  ["L1 entry at the L1 table", "corrupt", /over the L1 table/, [[L1, 8, COPIED | BigInt(L1)]]],
  ["L1 entry at the refcount table", "corrupt", /over the refcount table/, [[L1, 8, COPIED | BigInt(REFCOUNT_TABLE)]]],
  ["L1 entry at a refcount block", "corrupt", /over a refcount block/, [[L1, 8, COPIED | BigInt(REFCOUNTS)]]],
  ["L1 entry 0 with a flag", "corrupt", /over the header/, [[L1, 8, COPIED]]],
  ["L2 entry past the end", "corrupt", /bytes 65536 to 131072 .*past the end of the file/, [[L2 + 8, 8, COPIED | 0x1000000n]]],
  ["L2 entry unaligned", "corrupt", /multiple of the cluster size/, [[L2 + 8, 8, COPIED | BigInt(DATA + 512)]]],
  ["L2 entry with reserved bits", "corrupt", /reserved/, [[L2 + 8, 8, COPIED | BigInt(DATA + K64) | 4n]]],
  ["L2 entry with high reserved bits", "corrupt", /reserved/, [[L2 + 8, 8, COPIED | BigInt(DATA + K64) | (1n << 60n)]]],
  ["L2 entry at its own table", "corrupt", /over an L2 table/, [[L2, 8, COPIED | BigInt(L2)]]],
  ["L2 entry at the L1 table", "corrupt", /over the L1 table/, [[L2, 8, COPIED | BigInt(L1)]]],
  ["L2 entry at the header", "corrupt", /over the header/, [[L2, 8, COPIED]]],
  ["L2 entry at a refcount block", "corrupt", /over a refcount block/, [[L2, 8, COPIED | BigInt(REFCOUNTS)]]],
  ["two L2 entries for one cluster", "corrupt", /another part/, [[L2 + 16, 8, COPIED | BigInt(DATA)]]],
  ["compressed cluster past the end", "corrupt", /compressed data .*past the end/, [[L2, 8, COMPRESSED | (1n << 40n)]]],
  ["compressed cluster over the L2 table", "corrupt", /over an L2 table/, [[L2, 8, COMPRESSED | BigInt(L2 + 100)]]],
  ["compressed cluster that is none", "corrupt", /deflate/, [[L2, 8, COMPRESSED | BigInt(DATA + 1)]]],
];

describe("damaged images are refused", () => {
  test.each(REFUSED)("%s", async (_, code, message, changes) => {
    const error = await failure(changed(await imageOf(DISK), changes));
    expect(error?.message).toMatch(message);
    expect(error?.code).toBe(code);
  });

  test("version 2 knows no zero flag", async () => {
    const error = await failure(changed(await imageOf(DISK, { compat: "0.10" }), [[L2 + 24, 8, 1n]]));
    expect(error?.message).toMatch(/bytes 196608 to 262144 .*reserved/);
  });

  test("every cut is refused, with the range that is lost", async () => {
    const image = await imageOf(DISK);
    for (const length of [0, 3, 71, 72, 103, 111, 200, K64, 2 * K64 + 1, L2 + 7, L1 - 1, L1 + 7])
      expect(await failure(image.slice(0, length)), `${length}`).toBeInstanceOf(DiskError);
    const data = await imageOf({ size: K64, pieces: [{ start: 0, bytes: block(1) }] });
    // The data cluster moved to the end of the file, then cut.
    const moved = new Uint8Array([...data, ...block(1)]);
    const whole = changed(moved, [[2 * K64, 8, COPIED | BigInt(data.length)]]);
    expectSame(await readVolume(await open(whole)), block(1));
    expect((await failure(whole.slice(0, -1)))?.guest).toEqual({ start: 0, length: K64 });
    // Only what lies inside the disk must exist.
    const short = changed(whole, [[24, 8, K64 - 512]]);
    expectSame(await readVolume(await open(short.slice(0, -512))), block(1).subarray(0, K64 - 512));
  });

  test("what lies before the damage is handed out first", async () => {
    const volume = await open(changed(await imageOf(DISK), [[L2 + 8, 8, COPIED | 0x1000000n]]));
    expect(await volume.extents(0, volume.size)).toEqual([{ kind: "raw", start: 0, length: K64, file: 0, at: DATA }]);
    await expect(volume.extents(K64, K64)).rejects.toMatchObject({ guest: { start: K64, length: K64 }, at: L2 + 8 });
    expect(await volume.extents(2 * K64, volume.size - 2 * K64)).toHaveLength(4);
  });

  test("subclusters both allocated and zero", async () => {
    const image = await imageOf(DISK, { extended_l2: "on" });
    expectSame(await readVolume(await open(image)), diskBytes(DISK));
    expect((await failure(changed(image, [[L2 + 8, 4, 1]])))?.message).toMatch(/both allocated and zero/);
    expect((await failure(changed(image, [[L2, 8, 0]])))?.message).toMatch(/no host cluster/);
    expect((await failure(changed(image, [[L2, 8, COPIED | BigInt(DATA + 1)]])))?.message).toMatch(/reserved/);
  });

  test("the names of unknown features are told", async () => {
    const name = new TextEncoder().encode("time travel");
    const table: Change[] = [
      [112, 4, 0x6803f857],
      [116, 4, 48],
      [120, 1, 0],
      [121, 1, 7],
    ];
    const volume = await open(
      changed(await imageOf(DISK), [[79, 1, 0x80], ...table, ...[...name].map((byte, i) => [122 + i, 1, byte] as const)]),
    );
    expect(volume.unsupported).toEqual(["time travel (unknown incompatible feature 7)"]);
    await expect(volume.extents(0, 512)).rejects.toMatchObject({ code: "unsupported" });
  });

  test("arbitrary bytes anywhere in the metadata end in data or in a DiskError", async () => {
    const image = await imageOf(DISK);
    const place = fc.oneof(fc.integer({ min: 4, max: 130 }), fc.integer({ min: L2, max: L2 + 90 }), fc.integer({ min: L1, max: L1 + 8 }));
    const change = fc.tuple(place, fc.constant(1 as const), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = changed(image, changes);
        try {
          const volume = await open(bytes);
          for (let at = 0, calls = 0; at < volume.size && calls < 50; calls++) {
            const last = (await volume.extents(at, volume.size - at)).at(-1);
            at = (last?.start ?? 0) + (last?.length ?? 0);
          }
          await check(memorySource("disk.qcow2", bytes), contextOf());
        } catch (error) {
          expect(error).toBeInstanceOf(DiskError);
        }
      }),
      { numRuns: 200 },
    );
  });
});

const READ: ReadonlyArray<readonly [what: string, note: RegExp, changes: readonly Change[]]> = [
  ["refcount table at 0", /refcount_table_offset/, [[48, 8, 0]]],
  ["refcount table over the L1 table", /refcount_table_offset/, [[48, 8, L1]]],
  ["no refcount table", /refcount_table_clusters/, [[56, 4, 0]]],
  [
    "refcounts all zero",
    /Damaged refcounts/,
    [
      [REFCOUNTS, 8, 0],
      [REFCOUNTS + 8, 8, 0],
      [REFCOUNTS + 16, 2, 0],
    ],
  ],
  ["too many snapshots", /nb_snapshots/, [[60, 4, 0xffffffff]]],
  [
    "snapshot table past the end",
    /snapshots_offset/,
    [
      [60, 4, 1],
      [64, 8, 1n << 60n],
    ],
  ],
  [
    "snapshot table of noise",
    /snapshot table/,
    [
      [60, 4, 1],
      [64, 8, DATA],
    ],
  ],
  ["dirty", /dirty/, [[79, 1, 1]]],
  ["corrupt bit", /corrupt/, [[79, 1, 2]]],
  ["unknown compatible bit", /compatible_features/, [[80, 8, 4]]],
  [
    "data file name without the bit",
    /external data file/,
    [
      [112, 4, 0x44415441],
      [116, 4, 1],
    ],
  ],
  [
    "out-of-date bitmaps",
    /bitmaps/,
    [
      [112, 4, 0x23852875],
      [116, 4, 24],
    ],
  ],
  ["more L1 entries than the file holds", /l1_size/, [[36, 4, 1_000_000]]],
];

describe("damage beside the data", () => {
  test.each(READ)("%s", async (_, note, changes) => {
    const volume = await open(changed(await imageOf(DISK), changes));
    expect(volume.notes.filter(({ severity }) => severity === "warning").map(({ text }) => text)).toEqual([expect.stringMatching(note)]);
    expectSame(await readVolume(volume), diskBytes(DISK));
  });

  test("clusters that two parts of the disk share are read when their refcount says so", async () => {
    const image = changed(await imageOf(DISK), [
      [L2 + 16, 8, DATA],
      [L2, 8, DATA],
      [REFCOUNTS + 2, 2, 2],
    ]);
    const expected = diskBytes(DISK);
    expected.set(block(1), 2 * K64);
    expectSame(await readVolume(await open(image)), expected);
    const report = await check(memorySource("disk.qcow2", image), contextOf());
    expect([report.corruptions, report.leaks]).toEqual([0, 1]);
  });

  test("an unknown header extension is skipped", async () => {
    const image = changed(await imageOf(DISK), [
      [112, 4, 0xdeadbeef],
      [116, 4, 13],
    ]);
    expectSame(await readVolume(await open(image)), diskBytes(DISK));
  });
});

const FOUND: ReadonlyArray<readonly [what: string, counts: readonly [number, number], changes: readonly Change[]]> = [
  ["a refcount too high", [1, 1], [[REFCOUNTS + 2, 2, 2]]],
  ["a refcount too low", [2, 0], [[REFCOUNTS + 2, 2, 0]]],
  ["an unused cluster", [0, 1], [[L2 + 72, 8, 0]]],
  ["a wrong copied flag", [1, 0], [[L2 + 8, 8, DATA + K64]]],
  ["a cluster used twice", [1, 1], [[L2 + 8, 8, COPIED | BigInt(DATA)]]],
  ["an L2 entry past the end", [1, 1], [[L2 + 8, 8, COPIED | 0x1000000n]]],
  ["an L1 entry past the end", [2, 5], [[L1, 8, COPIED | 0x1000000n]]],
  ["a refcount block outside the file", [14, 0], [[REFCOUNT_TABLE, 8, 0x1000000]]],
  [
    "a snapshot table of noise",
    [1, 0],
    [
      [60, 4, 1],
      [64, 8, DATA],
    ],
  ],
];

describe("check", () => {
  test.each(FOUND)("finds %s", async (_, counts, changes) => {
    const report: CheckReport = await check(memorySource("disk.qcow2", changed(await imageOf(DISK), changes)), contextOf());
    expect([report.corruptions, report.leaks]).toEqual(counts);
    expect(report.findings.filter(({ severity }) => severity !== "warning")).toHaveLength(counts[0] + counts[1]);
  });
});
