import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { failure } from "../../testing/failure.ts";
import { checked, contextOf, readVolume } from "../../testing/image-harness.ts";
import { SparseFile } from "../../testing/sparse-file.ts";
import { detect } from "../registry.ts";
import { geometryOf } from "./chunk-tables.ts";
import { asif } from "./index.ts";
import { Header, SIGNATURE } from "./spec.ts";

const MIB = 1 << 20;
/** With chunks of 1 MiB and blocks of 512 bytes: data entries between two entries for bitmaps, and those of a table. */
const GROUP = 2048;
const TABLE = 63 * GROUP;
/** States of a chunk: every block was written, or some were. */
const WHOLE = 1n << 62n;
const PARTIAL = 3n << 62n;
type Fields = Partial<ReturnType<typeof Header.read>>;

/** Tables (by number) of data entries (by chunk of the disk in the table) → chunk of the file, which is filled with its own number. */
function build(chunks: number, tables: ReadonlyMap<number, ReadonlyMap<number, bigint>>, fields: Fields = {}): SparseFile {
  const file = new SparseFile("d.asif");
  const u64 = (at: number, value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(value);
    file.write(at, bytes);
  };
  const header = {
    signature: SIGNATURE,
    version: 1,
    headerSize: 512,
    flags: 0,
    directory0: 4096n,
    directory1: BigInt(MIB),
    guid: Uint8Array.from({ length: 16 }, (_, i) => i),
    sectorCount: BigInt(chunks * 2048 - 1),
    maxSectorCount: 1n << 43n,
    chunkSize: MIB,
    blockSize: 512,
    totalSegments: 0,
    metadataChunk: 0n,
    reserved: new Uint8Array(16),
    readOnlyFlags: 0,
    metadataFlags: 0,
    metadataReadOnlyFlags: 0,
    ...fields,
  };
  file.write(0, Header.write(header));
  // The older directory leads astray.
  u64(4096, 6n);
  u64(4104, 999n);
  u64(MIB, 7n);
  let end = 2;
  for (const [number, entries] of tables) {
    const table = end++;
    u64(MIB + 8 + number * 8, BigInt(table));
    for (const [chunk, place] of entries) {
      u64(table * MIB + (chunk + Math.floor(chunk / GROUP)) * 8, place);
      const at = Number(place & 0xffffn);
      if (at >= 10 && at < 200) file.write(at * MIB, new Uint8Array(MIB).fill(at));
    }
  }
  // The bitmaps' entries: read as data they would show.
  u64(2 * MIB + GROUP * 8, 0x1ffn);
  file.truncate(Math.max(file.size, 100 * MIB));
  return file;
}
/** The table with the first entries given, and no other. */
const firstTable = (...entries: bigint[]) => new Map([[0, new Map(entries.entries())]]);

describe("reading", () => {
  test("the layout of 1 MiB chunks and 512-byte blocks", () => {
    expect(geometryOf(MIB, 512)).toEqual({ chunk: MIB, block: 512, groupEntries: GROUP, tableGroups: 63 });
    expect(geometryOf(MIB, 4096)).toEqual({ chunk: MIB, block: 4096, groupEntries: 16384, tableGroups: 7 });
  });

  test("chunks, holes, entries behind a bitmap's, a second table, and tables that are not there", async () => {
    const tables = new Map([
      [
        0,
        new Map([
          [0, WHOLE | 10n],
          [1, WHOLE | 11n],
          [3, WHOLE | 20n],
          [2047, WHOLE | 12n],
          [2048, WHOLE | 13n],
        ]),
      ],
      [2, new Map([[5, WHOLE | 14n]])],
    ]);
    const file = build(2 * TABLE + 100, tables);
    const head = await file.read(0, 4096);
    expect(detect(head, head).id).toBe("asif");
    const volume = checked(await asif.open(file, contextOf()));
    expect(volume).toMatchObject({ size: (2 * TABLE + 100) * MIB - 512, unit: MIB, notes: [] });
    const byteOf = async (chunk: number) => (await readVolume(volume, chunk * MIB + 77, 4))[0];
    const chunks = [0, 1, 2, 3, 2046, 2047, 2048, 2049, TABLE, TABLE + 5, 2 * TABLE + 5, 2 * TABLE + 99 - 1];
    const found = [];
    for (const chunk of chunks) found.push(await byteOf(chunk));
    expect(found).toEqual([10, 11, 0, 20, 0, 12, 13, 0, 0, 0, 14, 0]);
    expect(await volume.extents(MIB / 2, 3 * MIB)).toEqual([
      { kind: "raw", start: MIB / 2, length: 1.5 * MIB, file: 0, at: 10.5 * MIB },
      { kind: "hole", start: 2 * MIB, length: MIB },
      { kind: "raw", start: 3 * MIB, length: MIB / 2, file: 0, at: 20 * MIB },
    ]);
  });

  test("of a chunk that was written in part, the other blocks are zero whatever stands there", async () => {
    const file = build(10, firstTable(WHOLE | 10n, PARTIAL | 11n, PARTIAL | 12n, PARTIAL | 98n));
    const entryAt = 2 * MIB + GROUP * 8;
    file.write(entryAt, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 40));
    const states = (chunk: number) => 40 * MIB + chunk * 512;
    // Blocks 1, 4 and 5 of chunk 1; block 2047 of chunk 2, and a state that is not known in its block 8.
    file.write(states(1), Uint8Array.of(0b00000100, 0b00000101));
    file.write(states(2) + 2, Uint8Array.of(0b00000010));
    file.write(states(2) + 511, Uint8Array.of(0b01000000));
    const volume = checked(await asif.open(file, contextOf()));
    const disk = await readVolume(volume, 0, 2 * MIB);
    const written = Array.from({ length: 2048 }, (_, block) => block).filter((block) => disk[MIB + block * 512 + 77] !== 0);
    expect([disk[MIB - 1], written, disk[MIB + 512]]).toEqual([10, [1, 4, 5], 11]);
    expect(await volume.extents(MIB + 1000, 1100)).toEqual([
      { kind: "raw", start: MIB + 1000, length: 24, file: 0, at: 11 * MIB + 1000 },
      { kind: "hole", start: MIB + 1024, length: 1024 },
      { kind: "raw", start: MIB + 2048, length: 52, file: 0, at: 11 * MIB + 2048 },
    ]);
    await expect(volume.extents(2 * MIB + 4096, 8192)).rejects.toMatchObject({
      code: "unsupported",
      guest: { start: 2 * MIB + 4096, length: 512 },
    });
    expect((await readVolume(volume, 3 * MIB - 1024, 1024)).findIndex((byte) => byte !== 0)).toBe(512);
  });

  test("a chunk that two entries name is the first one's; so is one that holds a table or the header", async () => {
    const table = new Map([
      [0, WHOLE | 10n],
      [1, WHOLE | 10n],
      [2, WHOLE | 2n],
      [5, WHOLE | 12n],
    ]);
    const again = new Map([[0, WHOLE | 12n]]);
    const volume = checked(
      await asif.open(
        build(
          TABLE + 10,
          new Map([
            [0, table],
            [1, again],
          ]),
        ),
        contextOf(),
      ),
    );
    expect((await readVolume(volume, 0, MIB))[0]).toBe(10);
    for (const chunk of [1, 2, TABLE])
      await expect(volume.extents(chunk * MIB, MIB)).rejects.toMatchObject({ code: "corrupt", guest: { start: chunk * MIB, length: MIB } });
    expect((await readVolume(volume, 5 * MIB, MIB))[0]).toBe(12);
  });

  test("damage names the range that it makes unreadable", async () => {
    const table = new Map([
      [0, WHOLE | 10n],
      [1, WHOLE | 5000n],
      [2, WHOLE | 0x01000000000000ffn],
      [3, WHOLE | 99n],
      // States that were never seen, a written chunk without a place, and one that was written in part but has no bitmap.
      [4, 30n],
      [5, (2n << 62n) | 31n],
      [6, WHOLE],
      [7, PARTIAL | 32n],
    ]);
    const volume = checked(await asif.open(build(5000, new Map([[0, table]])), contextOf()));
    expect((await readVolume(volume, 0, MIB))[0]).toBe(10);
    await expect(volume.extents(MIB, MIB)).rejects.toMatchObject({ code: "corrupt", at: 2 * MIB + 8, guest: { start: MIB, length: MIB } });
    await expect(volume.extents(2 * MIB + 512, 512)).rejects.toMatchObject({ code: "corrupt", guest: { start: 2 * MIB, length: MIB } });
    expect((await readVolume(volume, 3 * MIB, MIB))[0]).toBe(99);
    for (const chunk of [4, 5, 6, 7])
      await expect(volume.extents(chunk * MIB + 5, 5)).rejects.toMatchObject({
        code: "corrupt",
        at: 2 * MIB + chunk * 8,
        guest: { start: chunk * MIB, length: MIB },
      });
    const astray = checked(await asif.open(build(3000, new Map(), { directory1: 4096n }), contextOf()));
    await expect(astray.extents(0, MIB)).rejects.toMatchObject({ code: "corrupt", at: 4104, guest: { start: 0, length: GROUP * MIB } });
    await expect(astray.extents(GROUP * MIB, MIB)).rejects.toMatchObject({ guest: { start: GROUP * MIB, length: 952 * MIB - 512 } });
  });

  test("any bytes of header, directories, tables and bitmaps changed: an error, or a disk", async () => {
    const places = [0, 4096, MIB, 2 * MIB, 2 * MIB + GROUP * 8, 40 * MIB];
    const change = fc.record({ place: fc.constantFrom(...places), offset: fc.nat(100), value: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const file = build(10, firstTable(WHOLE | 10n, PARTIAL | 11n));
        file.write(2 * MIB + GROUP * 8, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 40));
        for (const { place, offset, value } of changes) file.write(place + offset, Uint8Array.of(value));
        const read = async () => {
          const volume = checked(await asif.open(file, contextOf()));
          for (let chunk = 0; chunk < 10; chunk++)
            await readVolume(volume, Math.min(chunk * MIB, volume.size - 1), 1).catch((error: unknown) =>
              expect(error).toBeInstanceOf(DiskError),
            );
        };
        await read().catch((error: unknown) => expect(error).toBeInstanceOf(DiskError));
      }),
      { numRuns: 60 },
    );
  });

  test.each<[keyof Fields, Fields, string]>([
    ["signature", { signature: 5 }, "corrupt"],
    ["headerSize", { headerSize: 8 }, "corrupt"],
    ["blockSize", { blockSize: 0 }, "corrupt"],
    ["chunkSize", { chunkSize: 0 }, "corrupt"],
    ["chunkSize", { chunkSize: 3 * MIB }, "corrupt"],
    ["chunkSize", { chunkSize: 4096 }, "corrupt"],
    ["chunkSize", { chunkSize: 0x80000000 }, "corrupt"],
    ["totalSegments", { totalSegments: 2 }, "unsupported"],
    ["sectorCount", { sectorCount: 0n }, "corrupt"],
    ["sectorCount", { sectorCount: 1n << 62n, maxSectorCount: 1n << 63n }, "corrupt"],
    ["sectorCount", { maxSectorCount: 1n }, "corrupt"],
    ["directory0", { directory0: 0n }, "corrupt"],
    ["directory1", { directory1: 1n << 60n }, "corrupt"],
  ])("%s is refused by name and place", async (field, fields, code) => {
    const error = await failure(asif.open(build(10, new Map(), fields), contextOf()));
    expect(error).toMatchObject({ code, at: Header.offsetOf(field), message: expect.stringContaining(field) });
  });
});
