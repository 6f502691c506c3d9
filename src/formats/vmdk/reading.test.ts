import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Volume } from "../../core/model.ts";
import { diskBytes, noise, type TestDisk } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { checked, contextOf, readVolume } from "../../testing/image-harness.ts";
import { sameBytes } from "../../testing/streams.ts";
import { bytesOf, SMALL, sparse, stream } from "../../testing/vmdk-images.ts";
import { vmdk } from "./index.ts";
import { inflatedLength } from "./inflated-length.ts";
import { Header, SECTOR } from "./spec.ts";

const GRAIN = 64 << 10;
const MIB = 1 << 20;
const open = (bytes: Uint8Array, name = "d.vmdk") => vmdk.open(memorySource(name, bytes), contextOf());
const check = (bytes: Uint8Array) => vmdk.check!(memorySource("d.vmdk", bytes), contextOf());
const changed = (bytes: Uint8Array, change: (view: DataView, copy: Uint8Array) => void) => {
  const copy = bytes.slice();
  change(new DataView(copy.buffer), copy);
  return copy;
};
const u32 = (bytes: Uint8Array, at: number) => new DataView(bytes.buffer).getUint32(at, true);
/** Byte of the directory; of a table; of its redundant copy. */
const DIRECTORY = Number(Header.read(sparse).gdOffset) * SECTOR;
const REDUNDANT = Number(Header.read(sparse).rgdOffset) * SECTOR;
const TABLE = u32(sparse, DIRECTORY) * SECTOR;
const REDUNDANT_TABLE = u32(sparse, REDUNDANT) * SECTOR;

describe("sparse extents", () => {
  test.each<[keyof ReturnType<typeof Header.read>, number | bigint | Uint8Array, string]>([
    ["version", 0, "corrupt"],
    ["version", 4, "unsupported"],
    ["capacity", 0n, "corrupt"],
    ["capacity", 1n << 50n, "limit"],
    ["capacity", 1n << 43n, "limit"],
    ["capacity", BigInt(SMALL.size / SECTOR - 1), "corrupt"],
    ["grainSize", 4n, "corrupt"],
    ["grainSize", 129n, "corrupt"],
    ["grainSize", 8192n, "corrupt"],
    ["descriptorSize", 1n << 40n, "limit"],
    ["descriptorOffset", 1n << 30n, "corrupt"],
    ["numGTEsPerGT", 511, "corrupt"],
    ["overHead", 1n << 60n, "corrupt"],
    ["newlines", Uint8Array.of(13, 10, 13, 10), "corrupt"],
    ["compressAlgorithm", 1, "corrupt"],
    ["flags", 0x10003, "unsupported"],
    ["flags", 0x20003, "unsupported"],
  ])("%s = %s is refused, by its place", async (field, value, code) => {
    const bytes = changed(sparse, (_, copy) => copy.set(Header.write({ ...Header.read(sparse), [field]: value })));
    const error = await failure(open(bytes));
    expect([error.code, error.file]).toEqual([code, "d.vmdk"]);
    expect(error.message).toMatch(/^vmdk: /);
  });

  test("a damaged directory: the redundant one is used, aloud; when both are damaged the first error stands", async () => {
    const once = changed(sparse, (view) => view.setUint32(DIRECTORY, 0x7fffffff, true));
    const volume = await open(once);
    expect(volume.notes.some(({ text: note, severity }) => severity === "warning" && note.includes("redundant"))).toBe(true);
    sameBytes(await readVolume(volume), diskBytes(SMALL));
    const both = changed(once, (view) => view.setUint32(REDUNDANT, 2, true));
    const error = await failure(open(both));
    expect([error.at, error.guest]).toEqual([DIRECTORY, { start: 0, length: 32 * MIB }]);
  });

  test.each([
    ["past the end", 0x7fffffff],
    ["in the descriptor", 2],
    ["in its own table", TABLE / SECTOR],
  ])("a grain %s is an error that names the lost range", async (_, sector) => {
    const bytes = changed(sparse, (view) => view.setUint32(TABLE + 8, sector, true));
    const volume = await open(bytes);
    const known = await volume.extents(0, SMALL.size);
    expect(known.map(({ kind, start, length }) => [kind, start, length])).toEqual([
      ["hole", 0, GRAIN],
      ["raw", GRAIN, GRAIN],
    ]);
    const error = await failure(volume.extents(2 * GRAIN, MIB));
    expect([error.code, error.guest]).toEqual(["corrupt", { start: 2 * GRAIN, length: GRAIN }]);
    expect((await volume.extents(3 * GRAIN, 32 * MIB))[0]).toMatchObject({ kind: "hole", start: 3 * GRAIN });
  });

  test("a grain at sector 0, where the header is, is not there", async () => {
    const volume = await open(changed(sparse, (view) => view.setUint32(TABLE + 8, 0, true)));
    expect((await volume.extents(0, SMALL.size)).map(({ kind, start }) => [kind, start])).toEqual([
      ["hole", 0],
      ["raw", GRAIN],
      ["hole", 2 * GRAIN],
      ["raw", 33 * MIB],
    ]);
  });

  test("zeroed grains and tables are zero where the header allows them", async () => {
    const value = (flags: number) =>
      changed(sparse, (view) => {
        view.setUint32(4, 2, true);
        view.setUint32(8, flags, true);
        view.setUint32(TABLE, 1, true);
        view.setUint32(DIRECTORY + 4, flags === 7 ? 1 : u32(sparse, DIRECTORY + 4), true);
      });
    const volume = await open(value(7));
    const all = await volume.extents(0, SMALL.size);
    expect(all.map(({ kind }) => kind)).toEqual(["zero", "raw", "hole", "zero"]);
    expect((await failure((await open(value(3))).extents(0, GRAIN))).guest).toEqual({ start: 0, length: GRAIN });
  });

  test("notes: an unclean shutdown, an extent without a descriptor; another file name does not matter", async () => {
    const noted = async (bytes: Uint8Array, name?: string) => (await open(bytes, name)).notes.map(({ text: note }) => note).join();
    expect(await noted(sparse, "renamed.img")).toBe("");
    expect(await noted(changed(sparse, (view) => view.setUint8(72, 1)))).toContain("uncleanShutdown");
    const alone = changed(sparse, (_, copy) => copy.fill(0, SECTOR, 21 * SECTOR));
    expect(await noted(alone)).toContain("is one extent");
    sameBytes(await readVolume(await open(alone)), diskBytes(SMALL));
  });

  test("a stream cut anywhere is refused or fails where it was cut; a plain image likewise", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("stream", "sparse"),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        async (kind, part) => {
          const whole = kind === "sparse" ? sparse : stream;
          // What pads the last grain past the end of the disk is no loss.
          const needed = whole === sparse ? whole.length - GRAIN + 512 : whole.length;
          const bytes = whole.slice(0, Math.floor(needed * part));
          await failure(open(bytes).then((volume) => readVolume(volume)));
        },
      ),
      { numRuns: 60 },
    );
    const empty = await bytesOf("monolithicSparse", { size: MIB, pieces: [] });
    expect((await failure(open(empty.slice(0, -1)))).message).toContain("overHead is 128");
    for (const cut of [1, 512, 1024, 1536]) expect((await failure(open(stream.slice(0, -cut)))).message).toContain("gdOffset is -1");
    for (const field of [4, 8, 12, 20]) {
      const error = await failure(open(changed(stream, (view) => view.setUint32(stream.length - 1024 + field, 2, true))));
      expect(error.at).toBeGreaterThanOrEqual(stream.length - 1024);
    }
  });

  test("damaged metadata never crashes, hangs or gives other bytes in silence", async () => {
    const expected = diskBytes(SMALL);
    const survive = async (bytes: Uint8Array) => {
      try {
        const volume = await open(bytes);
        if (volume.size !== SMALL.size || volume.unsupported.length > 0 || volume.notes.length > 0) return;
        const at = await readVolume(volume);
        if (Buffer.compare(at, expected) !== 0) throw new Error("other bytes, without a word");
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.nat(11), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(78), async (tailSector, value, at) => {
        await survive(changed(stream, (_, copy) => copy.fill(value, at, at + 1)));
        const place = stream.length - 512 * (tailSector + 1) + (at % 16);
        await survive(changed(stream, (_, copy) => copy.fill(value, place, place + 1)));
      }),
      { numRuns: 50 },
    );
  });
});

describe("check", () => {
  test("grains that share a place, damaged copies, entries out of range", async () => {
    expect(await check(sparse)).toMatchObject({
      corruptions: 0,
      allocatedClusters: 3,
      totalClusters: 529,
      findings: [],
      imageEndOffset: sparse.length - GRAIN + 512,
    });
    const shared = changed(sparse, (view) => view.setUint32(TABLE + 8, u32(sparse, TABLE + 4) + 8, true));
    const report = await check(shared);
    expect(report.findings.map(({ severity, guest }) => [severity, guest?.start])).toEqual(
      expect.arrayContaining([
        ["warning", 0],
        ["corruption", GRAIN],
        ["corruption", 2 * GRAIN],
      ]),
    );
    const far = await check(changed(sparse, (view) => view.setUint32(TABLE + 4, 0x10000000, true)));
    expect(far.findings).toContainEqual(
      expect.objectContaining({ severity: "corruption", at: TABLE + 4, guest: { start: GRAIN, length: GRAIN } }),
    );
  });

  test("lost grains are leaks: plain ones by their size, compressed ones by their sectors", async () => {
    const plain = await check(changed(sparse, (view) => [TABLE, REDUNDANT_TABLE].forEach((at) => void view.setUint32(at + 4, 0, true))));
    expect(plain).toMatchObject({ corruptions: 0, leaks: 1, findings: [{ severity: "leak", at: u32(sparse, TABLE + 4) * SECTOR }] });
    const directory = Number(Header.read(stream, stream.length - 1024).gdOffset) * SECTOR;
    const table = u32(stream, directory) * SECTOR;
    const [first, second] = [u32(stream, table + 4), u32(stream, table + 8)];
    const packed = await check(changed(stream, (view) => view.setUint32(table + 4, 0, true)));
    expect(packed).toMatchObject({ corruptions: 0, leaks: second - first, findings: [{ severity: "leak", at: first * SECTOR }] });
  });

  test("the markers of a stream", async () => {
    expect(await check(stream)).toMatchObject({ corruptions: 0, allocatedClusters: 3, compressedClusters: 3, findings: [] });
    const first = 128 * SECTOR;
    const lba = await check(changed(stream, (view) => view.setUint32(first, 7, true)));
    expect(lba).toMatchObject({ corruptions: 1, findings: [{ guest: { start: GRAIN, length: GRAIN } }] });
    const size = await check(changed(stream, (view) => view.setUint32(first + 8, 0x7fffffff, true)));
    expect(size.corruptions).toBe(1);
    const directory = Number(Header.read(stream, stream.length - 1024).gdOffset) * SECTOR;
    const unmarked = await check(changed(stream, (view) => view.setUint32(directory - SECTOR + 12, 9, true)));
    expect(unmarked.findings.map(({ severity }) => severity)).toEqual(["warning"]);
  });
});

describe("the length of a zlib stream", () => {
  test("is what node:zlib gives, whatever the blocks", () => {
    fc.assert(
      fc.property(
        fc.nat(70_000),
        fc.nat(),
        fc.integer({ min: 0, max: 9 }),
        fc.constantFrom(0, 4),
        fc.nat(255),
        (length, seed, level, strategy, mask) => {
          const plain = noise(length, seed).map((byte) => byte & mask);
          const packed = deflateSync(plain, { level, strategy });
          expect(inflatedLength(packed, 0, 70_000)).toBe(length);
          if (length > 0) expect(inflatedLength(packed, 0, length - 1)).toBeNull();
        },
      ),
      { numRuns: 60 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void inflatedLength(bytes, 0, GRAIN)));
  });
});

test("extents stop early instead of reading many tables, and join what belongs together", async () => {
  const disk: TestDisk = {
    size: 4096 * MIB,
    pieces: [
      { start: 0, bytes: noise(4 * GRAIN, 1) },
      { start: 4000 * MIB, bytes: noise(GRAIN, 2) },
    ],
  };
  let reads = 0;
  const image = memorySource("d.vmdk", await bytesOf("streamOptimized", disk));
  const counted: ByteSource = {
    ...image,
    read(at, length) {
      reads++;
      return image.read(at, length);
    },
  };
  const volume: Volume = checked(await vmdk.open(counted, contextOf()));
  reads = 0;
  const first = await volume.extents(0, disk.size);
  expect(reads).toBe(1);
  expect(first.map(({ kind, length }) => [kind, length])).toEqual([...Array(4).fill(["packed", GRAIN]), ["hole", 4000 * MIB - 4 * GRAIN]]);
  await volume.extents(5 * GRAIN, 1000 * MIB);
  expect(reads).toBe(1);
});
