import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { arbitraryDisk, diskBytes, noise, type TestDisk, unitsOf } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { checked, contextOf, readVolume } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { SparseFile } from "../../testing/sparse-file.ts";
import { CowdHeader } from "./cowd.ts";
import { vmdk } from "./index.ts";
import { ConstHeader, VolatileHeader } from "./sesparse.ts";
import { COWD_MAGIC, SECTOR, SESPARSE_MAGIC } from "./spec.ts";

const MIB = 1 << 20;
const GRAIN = 4096;
const ENTRIES = 4096;
const qemu = judge("qemu-img");
const folder = mkdtempSync(join(tmpdir(), "vmdk-snapshots-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Two tables of either kind, an odd end. */
const SAMPLE: TestDisk = {
  size: 17 * MIB + 3 * SECTOR,
  pieces: [
    { start: 3 * SECTOR, bytes: noise(5 * SECTOR, 1) },
    { start: MIB, bytes: noise(70_000 - 368, 2) },
    { start: 17 * MIB, bytes: noise(3 * SECTOR, 3) },
  ],
};

/** A COWD extent as ESX lays it out: grains follow the table that was made for them. */
function cowdFile(disk: TestDisk, grainSectors = 1): SparseFile {
  const file = new SparseFile("d-delta.vmdk");
  const grain = grainSectors * SECTOR;
  const tables = Math.ceil(disk.size / (grain * ENTRIES));
  const entry = (at: number, value: number) => file.write(at, new Uint8Array(Uint32Array.of(value).buffer));
  let next = 4 + Math.ceil((tables * 4) / SECTOR);
  let [table, tableAt] = [-1, 0];
  for (const [index, bytes] of unitsOf(disk, grain)) {
    if (Math.floor(index / ENTRIES) !== table) {
      table = Math.floor(index / ENTRIES);
      tableAt = next;
      entry(4 * SECTOR + table * 4, tableAt);
      next += (ENTRIES * 4) / SECTOR;
    }
    entry(tableAt * SECTOR + (index % ENTRIES) * 4, next);
    file.write(next * SECTOR, bytes);
    next += grainSectors;
  }
  const empty = CowdHeader.read(new Uint8Array(CowdHeader.bytes));
  const numSectors = disk.size / SECTOR;
  const stated = { magicNumber: COWD_MAGIC, version: 1, flags: 3, numSectors, grainSize: grainSectors, gdOffset: 4 };
  file.write(0, CowdHeader.write({ ...empty, ...stated, numGDEntries: tables, freeSector: next }));
  file.truncate(next * SECTOR);
  return file;
}

type Entry = { readonly data: number } | { readonly value: bigint };

/** A seSparse extent with ESXi's regions; grains lie in the opposite order of the disk. `more`: entries by grain number. */
function seSparseFile(disk: TestDisk, more: ReadonlyMap<number, bigint> = new Map()): SparseFile {
  const file = new SparseFile("d-sesparse.vmdk");
  const round = (sectors: number) => Math.ceil(sectors / 2048) * 2048;
  const grains = Math.ceil(disk.size / GRAIN);
  const tables = Math.ceil(grains / ENTRIES);
  const directory = round(Math.ceil((tables * 8) / SECTOR));
  const room = round(tables * 64);
  const bitmap = round(Math.ceil(grains / 8 / SECTOR));
  const regions = { journalHeader: 2, journal: 2048, grainDirectory: directory, grainTables: room, freeBitmap: bitmap, backMap: room };
  const fields: Record<string, bigint> = { volatileHeaderOffset: 1n, volatileHeaderSize: 1n };
  let at = 2;
  for (const [name, size] of Object.entries(regions)) {
    if (name === "journal") at = 2048;
    fields[`${name}Offset`] = BigInt(at);
    fields[`${name}Size`] = BigInt(size);
    at += size;
  }
  const u64 = (place: number, value: bigint) => file.write(place, new Uint8Array(BigUint64Array.of(value).buffer));
  const entries = new Map<number, Entry>([...more].map(([grain, value]) => [grain, { value }]));
  const units = [...unitsOf(disk, GRAIN)].reverse();
  units.forEach(([index, bytes], number) => {
    entries.set(index, { data: number });
    file.write(at * SECTOR + number * GRAIN, bytes);
  });
  const used = [...new Set([...entries.keys()].map((grain) => Math.floor(grain / ENTRIES)))];
  const [directoryAt, tablesAt] = [Number(fields["grainDirectoryOffset"]) * SECTOR, Number(fields["grainTablesOffset"]) * SECTOR];
  used.forEach((table, number) => {
    u64(directoryAt + table * 8, (1n << 60n) | BigInt(number));
  });
  for (const [grain, entry] of entries) {
    const place = tablesAt + used.indexOf(Math.floor(grain / ENTRIES)) * ENTRIES * 8 + (grain % ENTRIES) * 8;
    u64(place, "value" in entry ? entry.value : (3n << 60n) | (BigInt(entry.data & 0xfff) << 48n) | BigInt(entry.data >> 12));
  }
  const empty = ConstHeader.read(new Uint8Array(ConstHeader.bytes));
  const stated = { constMagic: SESPARSE_MAGIC, version: 0x200000001n, capacity: BigInt(disk.size / SECTOR), grainSize: 8n };
  const size = { grainTableSize: 64n, grainOffset: BigInt(at), grainSizeTotal: BigInt(grains * 8) };
  file.write(0, ConstHeader.write({ ...empty, ...fields, ...stated, ...size }));
  const none = VolatileHeader.read(new Uint8Array(VolatileHeader.bytes));
  file.write(SECTOR, VolatileHeader.write({ ...none, volatileMagic: 0xcafecafen }));
  file.truncate(at * SECTOR + units.length * GRAIN);
  return file;
}

/** A COWD header's grain size. */
const grainBytes = (field: Uint8Array): number => new DataView(field.buffer).getUint32(0, true) * SECTOR;

const descriptor = (type: string, extents: string, more = "parentCID=ffffffff\n") =>
  memorySource(
    "d.vmdk",
    new TextEncoder().encode(
      `# Disk DescriptorFile\nversion=1\nCID=0badcafe\n${more}createType="${type}"\n\n# Extent description\n${extents}\n\n#DDB\nddb.adapterType = "lsilogic"\n`,
    ),
  );
const kinds = [
  { kind: "vmfsSparse", line: "VMFSSPARSE", make: (disk: TestDisk) => cowdFile(disk) },
  { kind: "vmfsSparse", line: "VMFSSPARSE", make: (disk: TestDisk) => cowdFile(disk, 8) },
  { kind: "seSparse", line: "SESPARSE", make: (disk: TestDisk) => seSparseFile(disk) },
];
const openDisk = (kind: string, line: string, size: number, extent: ByteSource, more?: string) =>
  vmdk.open(descriptor(kind, `RW ${size / SECTOR} ${line} "${extent.name}"`, more), contextOf([extent]));
const same = (a: Uint8Array, b: Uint8Array) => expect(Buffer.compare(a, b)).toBe(0);

describe.each(kinds)("$kind", ({ kind, line, make }) => {
  test("the disk, and a check without findings", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryDisk(5 * MIB), async (disk) => {
        const extent = make(disk);
        const volume = await openDisk(kind, line, disk.size, extent);
        same(await readVolume(volume), diskBytes(disk));
        const file = descriptor(kind, `RW ${disk.size / SECTOR} ${line} "${extent.name}"`);
        expect(await vmdk.check!(file, contextOf([extent]))).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
      }),
      { numRuns: 15 },
    );
  });

  test.skipIf(qemu === null)("qemu-img reads the same", async () => {
    const place = mkdtempSync(join(folder, "q-"));
    const extent = make(SAMPLE);
    extent.save(join(place, extent.name));
    const text = descriptor(kind, `RW ${SAMPLE.size / SECTOR} ${line} "${extent.name}"`);
    writeFileSync(join(place, "d.vmdk"), await text.read(0, text.size));
    writeFileSync(join(place, "raw"), diskBytes(SAMPLE));
    expect(qemu!.must(["compare", "-f", "vmdk", "-F", "raw", join(place, "d.vmdk"), join(place, "raw")])).toContain("identical");
    const info = JSON.parse(qemu!.must(["info", "--output=json", join(place, "d.vmdk")]));
    const volume = await openDisk(kind, line, SAMPLE.size, extent);
    const { details } = volume;
    expect(details["create-type"]).toBe(info["format-specific"].data["create-type"]);
    expect(details["extents"]).toMatchObject([{ format: line, "virtual-size": SAMPLE.size }]);
  });

  test("holes ask the parent, whose CID is stated", async () => {
    const volume = await openDisk(kind, line, SAMPLE.size, make(SAMPLE), 'parentCID=0000beef\nparentFileNameHint="base.vmdk"\n');
    expect(volume.parent).toEqual({ role: "parent", name: "base.vmdk", id: "0000beef", format: "vmdk" });
    expect([volume.identity, volume.variant, volume.unsupported]).toEqual(["0badcafe", kind, []]);
    const [first] = await checked(volume).extents(2 * MIB, MIB);
    expect(first).toEqual({ kind: "hole", start: 2 * MIB, length: MIB });
  });

  async function overFlat() {
    const base: TestDisk = { size: SAMPLE.size, pieces: [{ start: 0, bytes: noise(SAMPLE.size, 9) }] };
    const extent = make(SAMPLE);
    // What a snapshot leaves out of a grain that it holds is zero there, not the parent's.
    const held = kind === "seSparse" ? GRAIN : grainBytes(await extent.read(16, 4));
    const expected = diskBytes(base);
    for (const [index, bytes] of unitsOf(SAMPLE, held)) expected.set(bytes.subarray(0, SAMPLE.size - index * held), index * held);
    const flat = memorySource("base-flat.vmdk", diskBytes(base));
    const sectors = SAMPLE.size / SECTOR;
    const parentText = descriptor("vmfs", `RW ${sectors} VMFS "base-flat.vmdk"`, "parentCID=ffffffff\n");
    const childText = descriptor(kind, `RW ${sectors} ${line} "${extent.name}"`, 'parentCID=0badcafe\nparentFileNameHint="base.vmdk"\n');
    return { expected, flat, parentText, childText, extent };
  }
  test("over a flat parent: what the snapshot holds, else what the parent holds", async () => {
    const { expected, flat, parentText, childText, extent } = await overFlat();
    const chain = [await vmdk.open(childText, contextOf([extent])), await vmdk.open(parentText, contextOf([flat]))];
    expect(chain[0]!.parent!.id).toBe(chain[1]!.identity);
    same(await readVolume(chain), expected);
  });
  test.skipIf(qemu === null)("over a flat parent: qemu-img reads the same", async () => {
    const { expected, flat, parentText, childText, extent } = await overFlat();
    const place = mkdtempSync(join(folder, "chain-"));
    extent.save(join(place, extent.name));
    for (const [name, source] of [
      ["base-flat.vmdk", flat],
      ["base.vmdk", parentText],
      ["d.vmdk", childText],
    ] as const)
      writeFileSync(join(place, name), await source.read(0, source.size));
    writeFileSync(join(place, "raw"), expected);
    expect(qemu!.must(["compare", "-f", "vmdk", "-F", "raw", join(place, "d.vmdk"), join(place, "raw")])).toContain("identical");
  });

  test("alone it may lack a parent: its size is told, its data are not", async () => {
    const volume = await vmdk.open(make(SAMPLE), contextOf());
    expect([volume.size, volume.variant]).toEqual([SAMPLE.size, kind]);
    expect((await failure(volume.extents(0, 512))).message).toContain("open its descriptor");
  });

  test("a large disk costs what it holds", async () => {
    const size = 2 * 2 ** 40 - 4096;
    const disk = { size, pieces: [{ start: size - 4096, bytes: noise(4096, 7) }] };
    const volume = await openDisk(kind, line, size, make(disk));
    same(await readVolume(volume, size - MIB, MIB), diskBytes(disk, size - MIB, MIB));
  });

  test("altered and cut files give an error, a finding or the right bytes", async () => {
    const expected = diskBytes(SAMPLE);
    const original = make(SAMPLE);
    const metadata = await original.read(0, Math.min(original.size, 3 * MIB));
    const places = [...Array(256).keys(), ...[...metadata.keys()].filter((at) => at > 256 && metadata[at] !== 0 && at < 40_000)];
    const text = descriptor(kind, `RW ${SAMPLE.size / SECTOR} ${line} "${original.name}"`);
    const isHonest = async (file: SparseFile) => {
      try {
        const volume = await vmdk.open(text, contextOf([file]));
        if (volume.unsupported.length > 0 || volume.notes.length > 0) return true;
        if (Buffer.compare(await readVolume(volume), expected) === 0) return true;
        return (await vmdk.check!(text, contextOf([file]))).findings.length > 0;
      } catch (error) {
        if (error instanceof DiskError) return true;
        throw error;
      }
    };
    // COWD data and tables lie side by side: bytes of grains are no metadata.
    const header = places.filter((at) => at < 2048 + SECTOR * 2);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...header), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), async (at, value) => {
        const file = original.copy();
        file.write(at, Uint8Array.of(value));
        if (!(await isHonest(file))) throw new Error(`byte ${at} became ${value}: wrong bytes without a word`);
      }),
      { numRuns: 80 },
    );
    for (let i = 0; i < 16; i++) {
      const cut = original.copy();
      cut.truncate(Math.floor((original.size * i) / 16));
      expect(await isHonest(cut)).toBe(true);
    }
  });
});

describe("seSparse entries", () => {
  const size = 17 * MIB;
  const none: TestDisk = { size, pieces: [] };
  const open = (more: ReadonlyMap<number, bigint>, disk = none) => openDisk("seSparse", "SESPARSE", size, seSparseFile(disk, more));

  test("unmapped and zero grains are zero over any parent", async () => {
    const volume = await open(
      new Map([
        [1, (1n << 60n) | 77n],
        [2, 2n << 60n],
      ]),
    );
    const kindsOf = (await volume.extents(0, size)).map(({ kind, length }) => [kind, length]);
    expect(kindsOf).toEqual([
      ["hole", GRAIN],
      ["zero", 2 * GRAIN],
      ["hole", size - 3 * GRAIN],
    ]);
  });

  test.each([
    ["a fourth kind", 4n << 60n],
    ["a number without a kind", 5n],
    ["a number past the region of grains", (3n << 60n) | 2n],
  ])("%s is an error for that grain alone, and a finding", async (_, value) => {
    const disk = { size, pieces: [{ start: 0, bytes: noise(GRAIN, 1) }] };
    const more = new Map([[4100, value]]);
    const volume = await open(more, disk);
    const error = await failure(volume.extents(4100 * GRAIN, MIB));
    expect([error.code, error.guest]).toEqual(["corrupt", { start: 4100 * GRAIN, length: GRAIN }]);
    expect((await volume.extents(4101 * GRAIN, GRAIN))[0]).toMatchObject({ kind: "hole" });
    const file = seSparseFile(disk, more);
    const report = await vmdk.check!(descriptor("seSparse", `RW ${size / SECTOR} SESPARSE "${file.name}"`), contextOf([file]));
    expect(report).toMatchObject({ corruptions: 1, findings: [{ at: error.at, guest: error.guest }] });
  });

  test("two entries for one grain are found by the check", async () => {
    const disk = { size, pieces: [{ start: 0, bytes: noise(GRAIN, 1) }] };
    const file = seSparseFile(disk, new Map([[9, 3n << 60n]]));
    const report = await vmdk.check!(descriptor("seSparse", `RW ${size / SECTOR} SESPARSE "${file.name}"`), contextOf([file]));
    expect(report.findings.map(({ guest }) => guest?.start)).toEqual([0, 9 * GRAIN]);
  });

  test("a journal that has yet to be replayed, and a foreign version", async () => {
    const file = seSparseFile(SAMPLE);
    file.write(SECTOR + VolatileHeader.offsetOf("replayJournal"), Uint8Array.of(1));
    const volume = await openDisk("seSparse", "SESPARSE", SAMPLE.size, file);
    expect(volume.size).toBe(SAMPLE.size);
    expect((await failure(volume.extents(0, 512))).message).toContain("journal");
    const other = seSparseFile(SAMPLE);
    other.write(8, Uint8Array.of(2));
    expect(await failure(openDisk("seSparse", "SESPARSE", SAMPLE.size, other))).toMatchObject({ code: "unsupported", at: 8 });
  });
});

test("a lost COWD grain is a leak", async () => {
  const file = cowdFile(SAMPLE);
  const tableAt = new DataView((await file.read(4 * SECTOR, 4)).buffer).getUint32(0, true) * SECTOR;
  file.write(tableAt + 3 * 4, new Uint8Array(4));
  const report = await vmdk.check!(descriptor("vmfsSparse", `RW ${SAMPLE.size / SECTOR} VMFSSPARSE "${file.name}"`), contextOf([file]));
  expect(report).toMatchObject({ corruptions: 0, leaks: 1, findings: [{ severity: "leak", at: tableAt + ENTRIES * 4 }] });
});
