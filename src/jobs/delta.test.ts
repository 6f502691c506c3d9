import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, Volume } from "../core/model.ts";
import { createOverlay, type Patch } from "../core/overlay.ts";
import type { TargetFormat } from "../core/target.ts";
import { DISK_FORMATS, openImage } from "../formats/registry.ts";
import { contextBeside } from "../testing/beside.ts";
import { converted } from "../testing/conversion.ts";
import { arbitraryDisk, diskBytes, noise, same, type TestDisk } from "../testing/disks.ts";
import { contextOf, optionVariants, readVolume, specFor, testCompute } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { readByLibvhdi } from "../testing/libvhdi.ts";
import { localPool } from "../testing/local-pool.ts";
import { SparseFile } from "../testing/sparse-file.ts";
import { openDisk } from "./chain.ts";
import { baseOf, changedUnits, differingRanges, layersAbove, levelOf, overBase } from "./delta.ts";
import { surveyChanges } from "./delta-units.ts";
import { createDisk, type Disk } from "./disk.ts";
import { survey } from "./survey.ts";

const { mergeLayers } = testCompute();
const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "delta-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 1 << 20;
const rawSource = ({ size, pieces }: TestDisk, name = "disk.raw"): SparseFile => {
  const file = new SparseFile(name);
  for (const { start, bytes } of pieces) file.write(start, bytes);
  file.truncate(size);
  return file;
};
const changed = (disk: Disk, patches: readonly Patch[], size = disk.size): Disk =>
  createDisk([createOverlay(size, patches), ...disk.chain], mergeLayers, [], size);

/** What the disk shows after the patches. */
function patched(base: Uint8Array, patches: readonly Patch[], size: number): Uint8Array {
  const out = new Uint8Array(size);
  out.set(base.subarray(0, size));
  for (const { start, length, bytes } of patches) out.set(bytes ?? new Uint8Array(length), start);
  return out;
}

/** Ascending, apart, of whole sectors: noise, and zeros. */
const arbitraryPatches = (size: number): fc.Arbitrary<Patch[]> =>
  fc
    .array(fc.record({ at: fc.nat(size / 512 - 1), sectors: fc.integer({ min: 1, max: 300 }), zero: fc.boolean(), seed: fc.nat() }), {
      maxLength: 6,
    })
    .map((list) => {
      const patches: Patch[] = [];
      let free = 0;
      for (const { at, sectors, zero, seed } of list.toSorted((a, b) => a.at - b.at)) {
        const start = Math.max(at * 512, free);
        const length = Math.min(sectors * 512, size - start);
        if (length <= 0) continue;
        patches.push({ start, length, bytes: zero ? null : noise(length, seed) });
        free = start + length + 512;
      }
      return patches;
    });

/** Why a delta of that size over a base of another (or the same) cannot be written, in words. */
function blockers(id: string, target: TargetFormat, options: Readonly<Record<string, string>>, size: number, baseSize = size): string[] {
  const identity = id === "vmdk" ? "12345678" : "01234567-89ab-4cde-8f01-23456789abcd";
  const base = { name: `base.${id}`, format: id, size: baseSize, identity, details: {} };
  const spec = { ...specFor(target, size, `top.${id}`, options), base };
  const losses = [...target.losses(spec), ...(target.overBase?.(base, spec) ?? [])];
  return losses.flatMap(({ what, severity }) => (severity === "blocker" ? [what] : []));
}

const layered = DISK_FORMATS.flatMap(({ id, target }) =>
  target?.overBase === undefined ? [] : optionVariants(target).map((options) => ({ id, options, target })),
).filter(({ id, target, options }) => blockers(id, target, options, 9 * MIB).length === 0);

type Options = Readonly<Record<string, string>>;

interface Pair {
  readonly files: readonly SparseFile[];
  readonly delta: readonly SparseFile[];
  readonly whole: Disk;
}

/** The base and the delta over it, as files. */
async function writePair(id: string, options: Options, source: Disk, top: Disk, baseOptions = options): Promise<Pair> {
  const files = await converted(source, { format: id, options: baseOptions, name: `base.${id}` });
  const volume = await openImage(files[0] as ByteSource, contextOf(files), id);
  const base = baseOf(volume, `base.${id}`);
  const delta = await converted(top, { format: id, options, name: `top.${id}`, over: { base, disk: source, changes: null } });
  return { files, delta, whole: await openDisk(delta[0] as ByteSource, contextBeside([...files, ...delta]), id) };
}

const small = fc
  .record({ disk: arbitraryDisk(2 * MIB), grow: fc.constantFrom(0, 0, 70_144, 512) })
  .chain(({ disk, grow }) => arbitraryPatches(disk.size + grow).map((patches) => ({ disk, size: disk.size + grow, patches })));

describe("every format with layers", () => {
  test.each(layered)("$id $options: the delta over its base shows what the source shows", async ({ id, options, target }) => {
    await fc.assert(
      fc.asyncProperty(small, async ({ disk, size, patches }) => {
        const source = await openDisk(rawSource(disk), contextOf(), "raw");
        fc.pre(blockers(id, target, options, size, disk.size).length + blockers(id, target, options, disk.size).length === 0);
        const top = changed(source, patches, size);
        const { whole } = await writePair(id, options, source, top);
        expect(same(await readVolume(whole.chain), patched(diskBytes(disk), patches, size))).toBe(true);
      }),
      { numRuns: 6 },
    );
  });
});

test("a base is one of the disk's layers only when both show the same of the same files", async () => {
  const source = await openDisk(rawSource({ size: MIB, pieces: [] }), contextOf(), "raw");
  const [volume] = source.chain as [Volume];
  const top = changed(source, []);
  const base = (other: Partial<Volume>) => createDisk([{ ...volume, ...other }], mergeLayers);
  expect(levelOf(base({}), top)).toBe(1);
  expect(levelOf(base({}), source)).toBe(null);
  expect(levelOf(base({ format: "qcow2" }), top)).toBe(null);
  expect(levelOf(base({ snapshot: "1" }), top)).toBe(null);
  expect(levelOf(base({ files: [rawSource({ size: MIB, pieces: [] })] }), top)).toBe(null);
  const bare = createDisk([createOverlay(MIB, []), { ...volume, files: [] }], mergeLayers);
  expect(levelOf(base({ files: [] }), bare)).toBe(null);
});

describe("what a layer lies over", () => {
  const ports = { pool: localPool(1), compute: testCompute() };
  const over = (disk: Disk, base: Disk, name: string) => overBase(disk, base, name, ports, () => {}, never);

  test("is one of the disk's layers, or another disk that is compared with it", async () => {
    const source = await openDisk(rawSource({ size: MIB, pieces: [] }), contextOf(), "raw");
    const top = changed(source, [{ start: 65536, length: 512, bytes: noise(512, 1) }]);
    expect((await over(top, source, "b.raw")).changes).toBe(null);
    const other = await openDisk(rawSource({ size: MIB, pieces: [{ start: 0, bytes: noise(512, 2) }] }), contextOf(), "raw");
    expect([...(await over(top, other, "b.raw")).changes!]).toEqual([{ start: 0, length: 2 * 65536 }]);
  });

  test("is no file that others would see another disk in", async () => {
    const source = await openDisk(rawSource({ size: MIB, pieces: [] }), contextOf(), "raw");
    const shown = (other: Partial<Volume>) => createDisk([{ ...(source.chain[0] as Volume), ...other }], mergeLayers);
    await expect(over(source, shown({ wrapping: ["gzip"] }), "b.gz")).rejects.toThrow("b.gz is wrapped (gzip)");
    await expect(over(source, shown({ snapshot: "7" }), "b.img")).rejects.toThrow("b.img is shown as its snapshot 7");
    await expect(over(source, shown({ unsupported: ["x"] }), "b.img")).rejects.toThrow("cannot be read here: x");
  });

  test("has another name than the layer", async () => {
    const source = await openDisk(rawSource({ size: MIB, pieces: [] }), contextOf(), "raw");
    const top = changed(source, [{ start: 0, length: 512, bytes: noise(512, 1) }]);
    const base = { name: "Disk.qcow2", format: "qcow2", size: MIB, identity: null, details: {} };
    await expect(converted(top, { format: "qcow2", name: "disk.qcow2", over: { base, disk: source, changes: null } })).rejects.toThrow(
      "“disk.qcow2” is the name of the base",
    );
  });
});

describe("the changed units", () => {
  test("are told as often as asked, and the layers are asked once", async () => {
    const source = await openDisk(rawSource({ size: 4 * MIB, pieces: [{ start: 0, bytes: noise(MIB, 1) }] }), contextOf(), "raw");
    const layer = createOverlay(
      4 * MIB,
      [0, 1, 3].map((mib) => ({ start: mib * MIB, length: 4096, bytes: noise(4096, mib) })),
    );
    let asked = 0;
    const counted: Volume = {
      ...layer,
      extents(...range) {
        asked++;
        return layer.extents(...range);
      },
    };
    const top = createDisk([counted, ...source.chain], mergeLayers);
    const over = { base: baseOf(source.chain[0] as Volume, "b.raw"), disk: source, changes: null };
    const told = async (unit: number, disk = top) => {
      const units = [];
      for await (const { start, length } of changedUnits(disk, over, unit, false, never)) units.push([start / 4096, length / 4096]);
      return units;
    };
    expect(await told(4096)).toEqual([
      [0, 1],
      [256, 1],
      [768, 1],
    ]);
    const once = asked;
    expect(await told(8192)).toEqual([
      [0, 2],
      [256, 2],
      [768, 2],
    ]);
    expect([once > 0, asked]).toEqual([true, once]);
    // Another disk over the same base is not taken for the first.
    expect(await told(4096, changed(source, [{ start: MIB, length: 512, bytes: noise(512, 9) }]))).toEqual([[256, 1]]);
  });

  test("hold what a survey of each says", async () => {
    await fc.assert(
      fc.asyncProperty(small, fc.constantFrom(4096, 65536, MIB), async ({ disk, size, patches }, unit) => {
        const source = await openDisk(rawSource(disk), contextOf(), "raw");
        const top = changed(source, patches, size);
        const over = { base: baseOf(source.chain[0] as Volume, "b.raw"), disk: source, changes: null };
        const told: unknown[] = [];
        const found = await surveyChanges(top, over, unit, false, (start, length) => told.push({ start, length }), never);
        const sums = { told: [] as unknown[], dataBytes: 0, zeroBytes: 0, holeBytes: top.size };
        for await (const range of changedUnits(top, over, unit, false, never)) {
          const part = await survey(top, { cells: 1, salvage: false, start: range.start, end: range.start + range.length }, never);
          sums.told.push(range);
          sums.dataBytes += part.dataBytes;
          sums.zeroBytes += part.zeroBytes + part.holeBytes;
          sums.holeBytes -= range.length;
        }
        expect({ told, dataBytes: found.dataBytes, zeroBytes: found.zeroBytes, holeBytes: found.holeBytes }).toEqual(sums);
        expect(found.packedBytes).toBe(0);
      }),
      { numRuns: 20 },
    );
  });
});

const [qemuImg, qemuIo] = [judge("qemu-img"), judge("qemu-io")];
test.skipIf(qemuImg === null || qemuIo === null)("a snapshot is no layer of what the same file shows now", async () => {
  const path = join(folder, "states.qcow2");
  qemuImg!.must(["create", "-q", "-f", "qcow2", path, "1M"]);
  for (const byte of [1, 2]) {
    qemuIo!.must(["-f", "qcow2", "-c", `write -P ${byte} 0 512k`, path]);
    qemuImg!.must(["snapshot", "-c", `S${byte}`, path]);
  }
  const file = memorySource("states.qcow2", readFileSync(path));
  const [now, older] = [await openDisk(file, contextOf()), await openDisk(file, { ...contextOf(), snapshot: "S1" })];
  expect(levelOf(older, changed(older, []))).toBe(1);
  expect(levelOf(now, changed(older, []))).toBe(null);
});

describe("a delta", () => {
  const disk: TestDisk = { size: 9 * MIB, pieces: [0, 3, 6].map((mib) => ({ start: mib * MIB, bytes: noise(900_000, mib + 1) })) };
  const patches: Patch[] = [
    { start: 0, length: MIB, bytes: null },
    { start: 2 * MIB, length: 4096, bytes: noise(4096, 9) },
    { start: 4 * MIB, length: MIB, bytes: null },
    { start: 6 * MIB + 512, length: 512, bytes: noise(512, 10) },
  ];
  const expected = patched(diskBytes(disk), patches, disk.size);

  test("holds the changed units and nothing else", async () => {
    const source = await openDisk(rawSource(disk), contextOf(), "raw");
    const { delta } = await writePair("qcow2", {}, source, changed(source, patches));
    const volume: Volume = await openImage(delta[0] as ByteSource, contextOf(), "qcow2");
    const kinds = (await volume.extents(0, volume.size)).map(({ kind, start, length }) => [kind, start / 65536, length / 65536]);
    // The base has zeros from 900,000 bytes on, and at 4 MiB: nothing has to be said there.
    expect(kinds).toEqual([
      ["zero", 0, 14],
      ["hole", 14, 18],
      ["raw", 32, 1],
      ["hole", 33, 63],
      ["raw", 96, 1],
      ["hole", 97, 47],
    ]);
  });

  test("over a base that knows nothing of the source: the differences, found by reading both", async () => {
    const source = await openDisk(rawSource(disk), contextOf(), "raw");
    const other = await openDisk(
      rawSource({ size: disk.size, pieces: [...disk.pieces.slice(0, 1), { start: 8 * MIB, bytes: noise(5000, 77) }] }),
      contextOf(),
      "raw",
    );
    expect(layersAbove(source, other)).toBe(null);
    const changes = await differingRanges(source, other, localPool(2), () => {}, never);
    expect([...changes].map(({ start, length }) => [start / 65536, length / 65536])).toEqual([
      [48, 14],
      [96, 14],
      [128, 1],
    ]);
    const base = { name: "other.raw", format: "raw", size: disk.size, identity: null, details: {} };
    const delta = await converted(source, { format: "qcow2", name: "d.qcow2", over: { base, disk: other, changes } });
    const files = [...delta, Object.assign(other.chain[0]?.files[0] as ByteSource, { name: "other.raw" })];
    const whole = await openDisk(delta[0] as ByteSource, contextOf(files), "qcow2");
    expect(same(await readVolume(whole.chain), diskBytes(disk))).toBe(true);
  });

  test("two deltas over one base have ids of their own, each the same every time", async () => {
    const source = await openDisk(rawSource(disk), contextOf(), "raw");
    const base = { name: "b.qcow2", format: "qcow2", size: disk.size, identity: null, details: {} };
    const { planConvert } = await import("./convert.ts");
    const ids = [];
    const others: Patch[] = [{ start: 6 * MIB + 512, length: 512, bytes: noise(512, 11) }];
    for (const list of [patches.slice(1, 2), patches.slice(3), patches.slice(3), others]) {
      const request = {
        format: "qcow2",
        options: {},
        name: "t.qcow2",
        salvage: false,
        verify: true,
        checkSource: true,
        over: { base, disk: source, changes: null },
      };
      const plan = await planConvert(changed(source, list), request, { pool: localPool(1), compute: testCompute() }, never);
      ids.push(Buffer.from(plan.spec.identity).toString("hex"));
    }
    expect(ids[0]).not.toBe(ids[1]);
    expect(ids[2]).toBe(ids[1]);
    // Changed at the same place, to something else.
    expect(ids[3]).not.toBe(ids[1]);
  });

  test("salvaged over a damaged base holds zeros also where the base cannot tell what it has", async () => {
    const broken = { start: MIB, length: 65536 };
    const content = rawSource({ size: 2 * MIB, pieces: [{ start: 0, bytes: noise(2 * MIB, 5) }] });
    const volume = (await openDisk(content, contextOf(), "raw")).chain[0] as Volume;
    const damaged: Volume = {
      ...volume,
      async extents(start, length) {
        if (start >= broken.start && start < broken.start + broken.length) throw new DiskError("corrupt", "a table", { guest: broken });
        return volume.extents(start, start < broken.start ? Math.min(length, broken.start - start) : length);
      },
    };
    const source = createDisk([damaged], mergeLayers);
    const top = changed(source, [{ start: 0, length: 2 * MIB, bytes: null }]);
    const base = { name: "b.raw", format: "raw", size: source.size, identity: null, details: {} };
    const units = [];
    for await (const unit of changedUnits(top, { base, disk: source, changes: null }, 65536, true, never)) units.push(unit);
    expect(units).toEqual([{ start: 0, length: 2 * MIB }]);
  });

  test.each(["qcow2", "qed"])("%s over a split raw disk is refused: QEMU would see its first part only", async (format) => {
    const files = [1, 2].map((seed) => memorySource(`b.00${seed}`, noise(MIB, seed)));
    const split = await openDisk(files[0] as ByteSource, contextOf(files), "raw");
    const over = { base: baseOf(split.chain[0] as Volume, "b.001"), disk: split, changes: null };
    const top = changed(split, [{ start: 0, length: 512, bytes: null }]);
    await expect(converted(top, { format, name: "t.img", over })).rejects.toThrow("QEMU reads this one alone");
  });

  test.each(["vmdk", "vpc", "vhdx", "vdi"])(
    "%s: a base that was made anew from a changed disk is not taken for the old one",
    async (id) => {
      const source = await openDisk(rawSource(disk), contextOf(), "raw");
      const { delta } = await writePair(id, {}, source, changed(source, patches));
      // Neither the beginning nor the end of the disk differs.
      const other = await converted(changed(source, [{ start: 3 * MIB + 512, length: 512, bytes: noise(512, 99) }]), {
        format: id,
        name: `base.${id}`,
      });
      await expect(openDisk(delta[0] as ByteSource, contextBeside([...other, ...delta]), id)).rejects.toThrow(/changed|not given/);
    },
  );

  test("of a format without layers is refused before anything is written", async () => {
    const source = await openDisk(rawSource(disk), contextOf(), "raw");
    const base = { name: "b.raw", format: "raw", size: disk.size, identity: null, details: {} };
    await expect(
      converted(changed(source, patches), { format: "raw", name: "t.raw", over: { base, disk: source, changes: null } }),
    ).rejects.toThrow("This format has no layers");
  });

  test.each([
    ["vpc", { subformat: "fixed" }],
    ["vdi", { static: "on" }],
    ["vhdx", { subformat: "fixed" }],
    ["vhdx", { block_size: "8M" }],
  ])("%s over a base of another kind: %o", async (id, baseOptions) => {
    const source = await openDisk(rawSource(disk), contextOf(), "raw");
    const { whole } = await writePair(id, {}, source, changed(source, patches), baseOptions);
    expect(same(await readVolume(whole.chain), expected)).toBe(true);
  });

  const byQemu = layered.filter(({ id }) => ["qcow2", "qed", "vmdk"].includes(id));
  test.skipIf(qemuImg === null).each(byQemu)("$id $options: qemu-img opens it with its base", async ({ id, options }) => {
    const source = await openDisk(rawSource(disk), contextOf(), "raw");
    const { files, delta } = await writePair(id, options, source, changed(source, patches));
    const place = mkdtempSync(join(folder, "q-"));
    for (const file of [...files, ...delta]) file.save(join(place, file.name));
    writeFileSync(join(place, "expected.raw"), expected);
    expect(qemuImg!.must(["compare", "-f", id, "-F", "raw", `top.${id}`, "expected.raw"], { cwd: place })).toContain("identical");
    const checked = qemuImg!.run(["check", "-f", id, `top.${id}`], { cwd: place });
    expect([0, 63]).toContain(checked.status);
  });

  /** The pair in a folder: the delta's path, then the base's. */
  async function savedPair(id: string, options: Options) {
    const source = await openDisk(rawSource(disk), contextOf(), "raw");
    const { files, delta, whole } = await writePair(id, options, source, changed(source, patches));
    const place = mkdtempSync(join(folder, "p-"));
    for (const file of [...files, ...delta]) file.save(join(place, file.name));
    return { paths: [`top.${id}`, `base.${id}`].map((name) => join(place, name)), chain: whole.chain as [Volume, Volume] };
  }
  const ofMicrosoft = layered.filter(({ id }) => ["vpc", "vhdx"].includes(id));

  const sevenZip = judge("7zz");
  test.skipIf(sevenZip === null).each(ofMicrosoft)("$id $options: 7-Zip finds the base and reads both", async ({ id, options }) => {
    const { paths } = await savedPair(id, options);
    const told = sevenZip!.bytes(["x", "-so", id === "vpc" ? "-tvhd" : "-tvhdx", paths[0] as string]);
    expect(same(told, expected)).toBe(true);
  });

  test.skipIf(sevenZip === null)("vdi: 7-Zip, which does not follow it, finds the ids of the base and of its state", async () => {
    const { paths, chain } = await savedPair("vdi", {});
    const { stdout } = sevenZip!.run(["l", "-tvdi", paths[0] as string]);
    expect(stdout).toContain("Method = Diff");
    expect(stdout).toMatch(new RegExp(`Creat *: \\{${chain[0].identity}\\}`));
    expect(stdout).toMatch(new RegExp(`Link *: \\{${chain[1].identity}\\}`));
    expect(stdout).toMatch(new RegExp(`PModif *: \\{${chain[1].version}\\}`));
  });

  const vhdiinfo = judge("vhdiinfo");
  describe.skipIf(readByLibvhdi === null || vhdiinfo === null)("judged by libvhdi", () => {
    test.each(ofMicrosoft)("$id $options: it reads the delta over its base", async ({ id, options }) => {
      const { paths, chain } = await savedPair(id, options);
      const [layer, base] = chain;
      const asRead = expected.slice();
      // It does not know the state of a VHDX for blocks of zeros, and takes them from the parent (see the format's README).
      if (id === "vhdx")
        for (const { kind, start, length } of await layer.extents(0, layer.size))
          if (kind === "zero") asRead.set(await readVolume(base, start, length), start);
      expect(same(readByLibvhdi!(paths), asRead)).toBe(true);
      const told = vhdiinfo!.must([paths[0] as string]);
      expect(told).toMatch(/Disk type\s*: Differential/);
      expect(told).toContain(`Parent identifier\t: ${base.identity}`);
      if (id === "vpc") expect(told).toContain("base.vpc");
    });
  });
});
