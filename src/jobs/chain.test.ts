import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { findChains } from "../chains/index.ts";
import { memorySource } from "../core/bytes.ts";
import type { ByteSource, OpenContext } from "../core/model.ts";
import {
  type Blocks,
  LAYER_SIZE,
  qcow2Layer,
  shownBy,
  uuid,
  vdiLayer,
  vhdLayer,
  vhdxLayer,
  vmdkDescriptor,
} from "../testing/chain-images.ts";
import { noise, same } from "../testing/disks.ts";
import { failure } from "../testing/failure.ts";
import { openFileSource } from "../testing/file-source.ts";
import { readVolume, testCompute } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { diskAt, openChain, openDisk } from "./chain.ts";
import type { Disk } from "./disk.ts";

const compute = testCompute();
const folder = mkdtempSync(join(tmpdir(), "chain-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Names lead to the files, identities too when `isSearched`. */
const contextOver = (files: readonly ByteSource[], more: Partial<OpenContext> = {}): OpenContext => ({
  resolve: async ({ name }) => files.find((file) => file.name === name) ?? null,
  candidates: async () => files,
  compute,
  ...more,
});
const find = (files: readonly ByteSource[]) =>
  findChains(
    files.map((source) => ({ source })),
    { compute },
  );
const namesOf = (disk: Disk) => disk.chain.map(({ files }) => files[0]!.name);
const warnings = (disk: Disk) => disk.notes.filter(({ severity }) => severity === "warning").map(({ text }) => text);
async function expectShown(disk: Disk, layers: readonly Blocks[]): Promise<void> {
  expect(same(await readVolume(disk.chain), shownBy(layers))).toBe(true);
}

/** Three layers, the newest first, and the blocks of each. */
const LAYERS: readonly Blocks[] = [{ 2: 3 }, { 1: 2, 2: 2 }, { 0: 1, 1: 1, 2: 1 }];
const [TOP, MID, BASE] = LAYERS as readonly [Blocks, Blocks, Blocks];
const FAMILIES = {
  vdi: async () => [
    await vdiLayer("top.vdi", { id: uuid(3), parent: uuid(2), parentVersion: uuid(12) }, TOP),
    await vdiLayer("mid.vdi", { id: uuid(2), version: uuid(12), parent: uuid(1), parentVersion: uuid(11) }, MID),
    await vdiLayer("base.vdi", { id: uuid(1), version: uuid(11) }, BASE),
  ],
  vhd: async () => [
    await vhdLayer("top.vhd", { id: uuid(3), parent: uuid(2), parentName: "mid.vhd" }, TOP),
    await vhdLayer("mid.vhd", { id: uuid(2), parent: uuid(1), parentName: "base.vhd" }, MID),
    await vhdLayer("base.vhd", { id: uuid(1) }, BASE),
  ],
  vhdx: async () => {
    const base = await vhdxLayer("base.vhdx", { seed: 1 }, BASE);
    const mid = await vhdxLayer("mid.avhdx", { seed: 2, linkage: base.id, keys: { relative_path: "base.vhdx" } }, MID);
    return [await vhdxLayer("top.avhdx", { seed: 3, linkage: mid.id, keys: { relative_path: "mid.avhdx" } }, TOP), mid, base];
  },
  "VHDX over names that lead nowhere": async () => {
    const base = await vhdxLayer("base.vhdx", { seed: 1 }, BASE);
    const mid = await vhdxLayer("mid.avhdx", { seed: 2, linkage: base.id, keys: { absolute_win32_path: "C:\\gone.vhdx" } }, MID);
    return [await vhdxLayer("top.avhdx", { seed: 3, linkage: mid.id, keys: { volume_path: "gone.avhdx" } }, TOP), mid, base];
  },
};

describe("chains by identity", () => {
  test.each(Object.keys(FAMILIES) as (keyof typeof FAMILIES)[])("%s: as it is, and at every older layer", async (family) => {
    const files = await FAMILIES[family]();
    const disk = await openDisk(files[0]!, contextOver(files));
    expect(namesOf(disk)).toEqual(files.map(({ name }) => name));
    await expectShown(disk, LAYERS);
    const found = await find([...files].reverse());
    const [chain] = found.chains;
    for (const level of [0, 1, 2]) {
      await expectShown(diskAt(disk, level, compute), LAYERS.slice(level));
      await expectShown(await openChain(found, chain!.members[level]!, { compute }), LAYERS.slice(level));
    }
    expect(chain!.members).toHaveLength(3);
    expect(warnings(disk)).toHaveLength(family.includes("nowhere") ? 2 : 0);
  });

  test("a disk has no layer past its base", async () => {
    const disk = await openDisk(qcow2Layer("a", null), contextOver([]));
    expect(() => diskAt(disk, 1, compute)).toThrow("there is no layer 1");
    expect(diskAt(disk, 0, compute)).toBe(disk);
    expect((await failure(openChain(await find([]), 0, { compute }))).code).toBe("usage");
  });

  test("without candidates only the resolver is asked; what it does not know is asked for by name and UUID", async () => {
    const [top, mid] = await FAMILIES.vdi();
    const error = await failure(openDisk(top!, { ...contextOver([top!, mid!]), candidates: undefined }));
    expect(error).toMatchObject({ code: "missing-file", needs: `{${uuid(2)}}.vdi` });
    expect(error.message).toContain(uuid(2));
    expect(await failure(openDisk(top!, contextOver([top!, mid!])))).toMatchObject({ code: "missing-file", file: "mid.vdi" });
  });

  test("the same file twice among the candidates is one", async () => {
    const files = await FAMILIES.vdi();
    await expectShown(await openDisk(files[0]!, contextOver([], { candidates: async () => [...files, ...files] })), LAYERS);
  });

  test("candidates that cannot be opened, and other formats, are passed over", async () => {
    const files = await FAMILIES.vhdx();
    const damaged = memorySource("x.vhdx", new Uint8Array(await files[2]!.read(0, 1 << 20)).fill(0xff, 65536));
    const unrelated = [damaged, qcow2Layer("q", null), memorySource("n", noise(9, 1)), memorySource("e", new Uint8Array(0))];
    const context = contextOver([], { candidates: async () => [...unrelated, ...files] });
    await expectShown(await openDisk(files[0]!, context), LAYERS);
  });

  test("two candidates with the identity are an error that names both", async () => {
    const files = [...(await FAMILIES.vdi()), await vdiLayer("copy.vdi", { id: uuid(1), version: uuid(11) })];
    const error = await failure(openDisk(files[0]!, contextOver(files)));
    expect(error).toMatchObject({ code: "usage", message: expect.stringContaining("base.vdi, copy.vdi") });
  });
});

const CHANGED = {
  "VMDK: another CID": async () => [
    vmdkDescriptor("s.vmdk", { CID: "0000000b", parentCID: "0000000a", parentFileNameHint: '"d.vmdk"' }),
    vmdkDescriptor("d.vmdk", { CID: "0bad0bad" }),
  ],
  "VDI: another version": async () => [
    await vdiLayer("s.vdi", { id: uuid(2), parent: uuid(1), parentVersion: uuid(11) }),
    await vdiLayer("d.vdi", { id: uuid(1), version: uuid(12) }),
  ],
  "VHD: another id": async () => [
    await vhdLayer("s.vhd", { id: uuid(2), parent: uuid(1), parentName: "d.vhd" }),
    await vhdLayer("d.vhd", { id: uuid(9) }),
  ],
  "VHDX: written to": async () => [
    await vhdxLayer("s.avhdx", { seed: 2, linkage: uuid(1), keys: { relative_path: "d.vhdx" } }),
    await vhdxLayer("d.vhdx", { seed: 1 }),
  ],
};

describe("changed parents", () => {
  test.each(Object.keys(CHANGED) as (keyof typeof CHANGED)[])(
    "%s: stopped, unless it is accepted; then the result says so",
    async (kind) => {
      const files = await CHANGED[kind]();
      const [child, parent] = files as [ByteSource, ByteSource];
      const error = await failure(openDisk(child, contextOver(files)));
      expect(error).toMatchObject({ code: "corrupt", file: parent.name });
      const disk = await openDisk(child, contextOver(files, { acceptChangedParents: true }));
      expect(namesOf(disk)).toEqual([child.name, parent.name]);
      expect(warnings(disk)).toEqual([`${error.message}. It was accepted: where only the parent holds data they may be wrong.`]);
      // The note belongs to the link: a disk that begins below it does not have it.
      expect(warnings(diskAt(disk, 1, compute))).toEqual([]);

      const found = await find(files);
      expect((await failure(openChain(found, 0, { compute }))).message).toBe(error.message);
      expect(warnings(await openChain(found, 0, { compute, acceptChangedParents: true }))).toEqual(warnings(disk));
      expect(warnings(await openChain(found, 1, { compute }))).toEqual([]);
    },
  );

  test("one with the stated identity is preferred to one of the stated name", async () => {
    const wrong = await vhdLayer("d.vhd", { id: uuid(9) }, { 0: 9 });
    const right = await vhdLayer("moved.vhd", { id: uuid(1) }, BASE);
    const child = await vhdLayer("s.vhd", { id: uuid(2), parent: uuid(1), parentName: "d.vhd" }, TOP);
    const disk = await openDisk(child, contextOver([child, wrong, right]));
    await expectShown(disk, [TOP, BASE]);
    expect(warnings(disk)).toEqual([`s.vhd names its parent “d.vhd”; moved.vhd has the stated id ${uuid(1)} and is taken for it.`]);
    const damaged = memorySource("d.vhd", noise(4096, 1));
    await expectShown(await openDisk(child, contextOver([child, damaged, right])), [TOP, BASE]);
    expect((await failure(openDisk(child, contextOver([child, damaged])))).file).toBe("d.vhd");
    for (const named of [wrong, damaged])
      await expectShown(await openChain(await find([child, named, right]), 0, { compute }), [TOP, BASE]);
  });
});

test("a clone that has its parent's name, in another folder", async () => {
  const clone = vmdkDescriptor("x.vmdk", { CID: "0000000b", parentCID: "0000000a", parentFileNameHint: '"../base/x.vmdk"' });
  const base = vmdkDescriptor("x.vmdk", { CID: "0000000a" });
  const resolve = async () => clone;
  expect((await openDisk(clone, contextOver([clone, base], { resolve }))).chain).toHaveLength(2);
  expect((await failure(openDisk(clone, contextOver([clone], { resolve })))).message).toContain("leads back");
});

test("of a damaged file of the stated name and one that was changed, the changed one is what is asked about", async () => {
  const [child, changed] = (await CHANGED["VDI: another version"]()) as [ByteSource, ByteSource];
  const files = [child, changed, memorySource(`{${uuid(1)}}.vdi`, noise(4096, 1))];
  expect(await failure(openDisk(child, contextOver(files)))).toMatchObject({ file: "d.vdi" });
  expect(namesOf(await openDisk(child, contextOver(files, { acceptChangedParents: true })))).toEqual(["s.vdi", "d.vdi"]);
});

describe("what stops", () => {
  test("an image that has its own identity for its parent's", async () => {
    const alone = [await vdiLayer("s.vdi", { id: uuid(1), parent: uuid(1) })];
    expect((await failure(openDisk(alone[0]!, contextOver(alone)))).message).toContain("leads back");
    expect((await find(alone)).chains).toMatchObject([{ members: [0], problems: [{ kind: "cycle", files: ["s.vdi"] }] }]);
  });

  test("problems of a found chain are errors of the right kind", async () => {
    const found = await find([
      qcow2Layer("a", "gone"),
      qcow2Layer("ring1", "ring2"),
      qcow2Layer("ring2", "ring1"),
      await vdiLayer("one.vdi", { id: uuid(1) }),
      await vdiLayer("two.vdi", { id: uuid(1) }),
      await vdiLayer("s.vdi", { id: uuid(2), parent: uuid(1) }),
      qcow2Layer("b", "bad.qcow2"),
      memorySource("bad.qcow2", new Uint8Array(4096)),
    ]);
    const errors = await Promise.all([0, 1, 2, 5, 6].map((id) => failure(openChain(found, id, { compute }))));
    expect(errors.map(({ code, needs }) => [code, needs])).toEqual([
      ["missing-file", "gone"],
      ["corrupt", undefined],
      ["corrupt", undefined],
      ["usage", undefined],
      ["wrong-format", undefined],
    ]);
  });

  test("rings, and more layers than 256", async () => {
    const ring = [qcow2Layer("a", "b"), qcow2Layer("b", "a"), qcow2Layer("c", "c")];
    for (const file of ring) expect((await failure(openDisk(file, contextOver(ring)))).message).toContain("leads back");
    const deep = Array.from({ length: 258 }, (_, i) => qcow2Layer(`${i}`, i === 0 ? null : `${i - 1}`));
    expect((await openDisk(deep[255]!, contextOver(deep))).chain).toHaveLength(256);
    expect((await failure(openDisk(deep[256]!, contextOver(deep)))).code).toBe("corrupt");
    const found = await find(deep);
    expect((await openChain(found, 255, { compute })).chain).toHaveLength(256);
    expect((await failure(openChain(found, 256, { compute }))).code).toBe("corrupt");
    // A long way down from a top that is too far up is not cut off in silence.
    expect((await openChain(found, 200, { compute })).chain).toHaveLength(201);
  });
});

describe("chains of QEMU", () => {
  const qemu = judge("qemu-img");
  const io = judge("qemu-io");
  const MIB = 1 << 20;
  /** Format of each layer, the base first; every layer has a size of its own where the format lets it. */
  const KINDS: Readonly<Record<string, readonly (readonly [format: string, mebibytes: number])[]>> = {
    qcow2: [
      ["qcow2", 4],
      ["qcow2", 6],
      ["qcow2", 5],
      ["qcow2", 8],
    ],
    qcow: [
      ["qcow", 4],
      ["qcow", 6],
      ["qcow", 6],
    ],
    QED: [
      ["qed", 4],
      ["qed", 6],
      ["qed", 3],
    ],
    VMDK: [
      ["vmdk", 4],
      ["vmdk", 4],
      ["vmdk", 4],
    ],
    "qcow2 over QED over raw": [
      ["raw", 4],
      ["qed", 5],
      ["qcow2", 6],
    ],
    "qcow2 over a VMDK chain": [
      ["vmdk", 4],
      ["vmdk", 4],
      ["qcow2", 6],
    ],
    "QED over qcow over VDI": [
      ["vdi", 4],
      ["qcow", 5],
      ["qed", 6],
    ],
  };

  test.skipIf(qemu === null || io === null).each(Object.keys(KINDS))(
    "%s: found, and byte for byte what qemu-img reads at every layer",
    async (kind) => {
      const layers = KINDS[kind]!;
      const id = kind.replaceAll(" ", "-");
      const names = layers.map(([format], i) => `${id}-${i}.${format === "raw" ? "img" : format}`);
      for (const [i, [format, mebibytes]] of layers.entries()) {
        const size = format === "vmdk" && i > 0 ? [] : [`${mebibytes}M`];
        const over = i === 0 ? [] : ["-b", names[i - 1]!, "-F", layers[i - 1]![0]];
        qemu!.must(["create", "-q", "-f", format, ...over, names[i]!, ...size], { cwd: folder });
        const writes = [0, 1, 2].map((n) => `write -P ${16 * (i + 1) + n} ${((n + i) % mebibytes) * MIB + 65536 * i} 300k`);
        const zeros = format === "qcow2" || format === "qed" ? [`write -z ${MIB + 131072} 64k`] : [];
        io!.must([...[...writes, ...zeros].flatMap((command) => ["-c", command]), "-f", format, names[i]!], { cwd: folder });
      }
      const sources = names.map((name) => openFileSource(join(folder, name)));
      try {
        const found = await find(sources);
        const [chain] = found.chains;
        expect(chain!.members.map((member) => found.members[member]!.path)).toEqual([...names].reverse());
        expect(chain!.problems.filter(({ severity }) => severity !== "note")).toEqual([]);
        const whole = await openDisk(sources.at(-1)!, contextOver(sources));
        for (const [level, member] of chain!.members.entries()) {
          const [name, flat] = [found.members[member]!.path, join(folder, `${id}-flat`)];
          qemu!.must(["convert", "-f", layers[layers.length - 1 - level]![0], "-O", "raw", name, flat], { cwd: folder });
          using judged = openFileSource(flat);
          const expected = await judged.read(0, judged.size);
          const opened = await openChain(found, member, { compute });
          expect(same(await readVolume(opened.chain), expected)).toBe(true);
          expect(same(await readVolume(diskAt(whole, level, compute).chain), expected)).toBe(true);
        }
      } finally {
        for (const source of sources) source.close();
      }
    },
  );

  test.skipIf(qemu === null || io === null)("an internal snapshot of a lower layer", async () => {
    const cwd = folder;
    qemu!.must(["create", "-q", "-f", "qcow2", "snap-base.qcow2", "2M"], { cwd });
    io!.must(["-c", "write -P 1 0 1M", "-f", "qcow2", "snap-base.qcow2"], { cwd });
    qemu!.must(["snapshot", "-c", "early", "snap-base.qcow2"], { cwd });
    io!.must(["-c", "write -P 2 0 64k", "-f", "qcow2", "snap-base.qcow2"], { cwd });
    qemu!.must(["create", "-q", "-f", "qcow2", "-b", "snap-base.qcow2", "-F", "qcow2", "snap-top.qcow2"], { cwd });
    io!.must(["-c", "write -P 3 64k 64k", "-f", "qcow2", "snap-top.qcow2"], { cwd });
    qemu!.must(["snapshot", "-c", "late", "snap-top.qcow2"], { cwd });
    io!.must(["-c", "write -P 4 64k 64k", "-f", "qcow2", "snap-top.qcow2"], { cwd });
    using base = openFileSource(join(folder, "snap-base.qcow2"));
    using top = openFileSource(join(folder, "snap-top.qcow2"));
    const found = await find([top, base]);
    const id = found.members.findIndex(({ path }) => path === "snap-base.qcow2");
    const at = async (member: number, snapshot?: string) => {
      const bytes = await readVolume((await openChain(found, member, { compute, snapshot })).chain);
      return [bytes[0], bytes[65536]];
    };
    expect([await at(id), await at(id, "early")]).toEqual([
      [2, 1],
      [1, 1],
    ]);
    // What lies below a snapshot is not looked up in the layers below.
    expect([await at(0), await at(0, "late")]).toEqual([
      [2, 4],
      [2, 3],
    ]);
    expect((await openDisk(top, contextOver([base], { snapshot: "late" }))).chain).toHaveLength(2);
    expect((await failure(openChain(found, 0, { compute, snapshot: "early" }))).code).toBe("usage");
  });
});

test("the test's own layers are as large as said", () => expect(shownBy(LAYERS)).toHaveLength(LAYER_SIZE));
