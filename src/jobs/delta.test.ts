import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, Volume } from "../core/model.ts";
import type { Patch } from "../core/overlay.ts";
import type { TargetFormat } from "../core/target.ts";
import { DISK_FORMATS, openImage } from "../formats/registry.ts";
import { contextBeside } from "../testing/beside.ts";
import { converted } from "../testing/conversion.ts";
import { diskBytes, noise, same, type TestDisk } from "../testing/disks.ts";
import { contextOf, optionVariants, readVolume, specFor, testCompute } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { readByLibvhdi } from "../testing/libvhdi.ts";
import { localPool } from "../testing/local-pool.ts";
import { arbitraryChange, changed, MIB, patched, rawSource } from "../testing/patched-disks.ts";
import type { SparseFile } from "../testing/sparse-file.ts";
import { openDisk } from "./chain.ts";
import { baseOf, changedUnits, differingRanges, layersAbove } from "./delta.ts";
import { createDisk, type Disk } from "./disk.ts";

const { mergeLayers } = testCompute();
const never = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "delta-"));
afterAll(() => rmSync(folder, { recursive: true }));
const qemuImg = judge("qemu-img");

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

describe("every format with layers", () => {
  test.each(layered)("$id $options: the delta over its base shows what the source shows", async ({ id, options, target }) => {
    await fc.assert(
      fc.asyncProperty(arbitraryChange, async ({ disk, size, patches }) => {
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
