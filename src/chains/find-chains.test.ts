import { describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import type { ByteSource } from "../core/model.ts";
import { parallels } from "../formats/parallels/index.ts";
import { qcow2Layer, textFile, uuid, vdiLayer, vhdLayer, vhdxLayer, vmdkDescriptor } from "../testing/chain-images.ts";
import { countingSource } from "../testing/counting-source.ts";
import { noise, patternDisk } from "../testing/disks.ts";
import { specFor, testCompute, writeImage } from "../testing/image-harness.ts";
import { type ChainSearch, findChains, type GivenFile } from "./index.ts";

type Given = ByteSource | GivenFile;
const find = (...files: readonly Given[]): Promise<ChainSearch> =>
  findChains(
    files.map((file) => ("source" in file ? file : { source: file })),
    { compute: testCompute() },
  );
const at = (path: string, source: ByteSource, modified?: number): GivenFile => ({ source, path, modified });
/** Every chain as the paths of its members, the newest first. */
const pathsOf = ({ chains, members }: ChainSearch): string[][] => chains.map((chain) => chain.members.map((id) => members[id]!.path));
const problemsOf = ({ chains }: ChainSearch) => [...new Set(chains.flatMap(({ problems }) => problems))];
const raw = (name: string, size = 32768) => memorySource(name, noise(size, 1));

describe("links", () => {
  test("by name: qcow2 over qcow2 over raw, in any order", async () => {
    const found = await find(qcow2Layer("mid.qcow2", "base.bin", "raw"), raw("base.bin"), qcow2Layer("top.qcow2", "mid.qcow2", "qcow2"));
    expect(pathsOf(found)).toEqual([["top.qcow2", "mid.qcow2", "base.bin"]]);
    expect(problemsOf(found)).toEqual([]);
    expect(found.members.map(({ path, children }) => [path, children.map((id) => found.members[id]!.path)])).toEqual([
      ["mid.qcow2", ["top.qcow2"]],
      ["top.qcow2", []],
      ["base.bin", ["mid.qcow2"]],
    ]);
  });

  test("by CID and name: VMDK, whose extents are no members", async () => {
    const found = await find(
      raw("d-flat.vmdk", 6 << 20),
      vmdkDescriptor("d-000001.vmdk", { CID: "0000000b", parentCID: "0000000a", parentFileNameHint: '"/vmfs/volumes/x/d.vmdk"' }),
      vmdkDescriptor("d.vmdk", { CID: "0000000a" }, "d-flat.vmdk"),
      vmdkDescriptor("d-000002.vmdk", { CID: "0000000c", parentCID: "0000000b", parentFileNameHint: '"d-000001.vmdk"' }),
    );
    expect(pathsOf(found)).toEqual([["d-000002.vmdk", "d-000001.vmdk", "d.vmdk"]]);
    expect([problemsOf(found), found.others, found.failures]).toEqual([[], [], []]);
  });

  test("by UUID, whatever the names: VDI, a tree with two tops", async () => {
    const found = await find(
      await vdiLayer("base.vdi", { id: uuid(1), version: uuid(0x11) }),
      await vdiLayer("{a}.vdi", { id: uuid(2), parent: uuid(1), parentVersion: uuid(0x11) }),
      await vdiLayer("{b}.vdi", { id: uuid(3), parent: uuid(1), parentVersion: uuid(0x11) }),
    );
    expect(pathsOf(found)).toEqual([
      ["{a}.vdi", "base.vdi"],
      ["{b}.vdi", "base.vdi"],
    ]);
    expect(problemsOf(found)).toEqual([]);
  });

  test("by id, under another name than the stated one, which is remarked: VHD, VHDX", async () => {
    const base = await vhdxLayer("renamed.vhdx", { seed: 1 });
    const found = await find(
      base,
      await vhdxLayer("x.avhdx", { seed: 2, linkage: base.id, keys: { relative_path: ".\\base.vhdx" } }),
      await vhdLayer("copy.vhd", { id: uuid(1) }),
      await vhdLayer("child.vhd", { id: uuid(2), parent: uuid(1), parentName: "parent.vhd" }),
    );
    expect(pathsOf(found)).toEqual([
      ["x.avhdx", "renamed.vhdx"],
      ["child.vhd", "copy.vhd"],
    ]);
    expect(problemsOf(found).map(({ kind, severity }) => [kind, severity])).toEqual([
      ["substituted", "note"],
      ["substituted", "note"],
    ]);
  });

  test("VHDX: either of two linkages is right", async () => {
    const base = await vhdxLayer("base.vhdx", { seed: 1 });
    const child = await vhdxLayer("c.avhdx", {
      seed: 2,
      linkage: uuid(77),
      keys: { relative_path: "base.vhdx", parent_linkage2: `{${base.id}}` },
    });
    const found = await find(base, child);
    expect([pathsOf(found), problemsOf(found)]).toEqual([[["c.avhdx", "base.vhdx"]], []]);
  });

  test("VirtualBox's VMDK snapshots, which state neither CID nor name", async () => {
    const base = vmdkDescriptor("base.vmdk", { "ddb.uuid.image": `"${uuid(1)}"`, "ddb.uuid.modification": `"${uuid(0x11)}"` });
    const layer = (version: number) =>
      vmdkDescriptor("{s}.vmdk", { "ddb.uuid.parent": `"${uuid(1)}"`, "ddb.uuid.parentmodification": `"${uuid(version)}"` });
    const found = await find(base, layer(0x11));
    expect([pathsOf(found), problemsOf(found)]).toEqual([[["{s}.vmdk", "base.vmdk"]], []]);
    expect(problemsOf(await find(base, layer(0x12)))).toMatchObject([{ kind: "changed", severity: "confirm" }]);
    expect(problemsOf(await find(layer(0x11)))).toMatchObject([{ kind: "missing", id: uuid(1), needs: `{${uuid(1)}}.vmdk` }]);
  });

  test("mixtures: a qcow2 over a VMDK snapshot over a VMDK, a qcow2 over a VDI snapshot", async () => {
    const found = await find(
      vmdkDescriptor("d.vmdk", { CID: "0000000a" }),
      vmdkDescriptor("s.vmdk", { CID: "0000000b", parentCID: "0000000a", parentFileNameHint: '"d.vmdk"' }),
      qcow2Layer("q.qcow2", "s.vmdk", "vmdk"),
      await vdiLayer("v.vdi", { id: uuid(1) }),
      await vdiLayer("w.vdi", { id: uuid(2), parent: uuid(1) }),
      qcow2Layer("r.qcow2", "w.vdi"),
    );
    expect(pathsOf(found)).toEqual([
      ["q.qcow2", "s.vmdk", "d.vmdk"],
      ["r.qcow2", "w.vdi", "v.vdi"],
    ]);
  });

  test("folders: names count from the folder of the child, and same names are told apart", async () => {
    const found = await find(
      at("vms/base/disk.qcow2", qcow2Layer("disk.qcow2", null)),
      at("vms/a/disk.qcow2", qcow2Layer("disk.qcow2", "../base/disk.qcow2")),
      at("vms/b/disk.qcow2", qcow2Layer("disk.qcow2", "/srv/vms/base/disk.qcow2")),
      at("vms/c/x.vmdk", vmdkDescriptor("x.vmdk", { CID: "0000000b", parentCID: "0000000a", parentFileNameHint: '"C:\\VMs\\x.vmdk"' })),
      at("other/x.vmdk", vmdkDescriptor("x.vmdk", { CID: "0000000a" })),
    );
    expect(pathsOf(found)).toEqual([
      ["vms/a/disk.qcow2", "vms/base/disk.qcow2"],
      ["vms/b/disk.qcow2", "vms/base/disk.qcow2"],
      ["vms/c/x.vmdk", "other/x.vmdk"],
    ]);
    expect(problemsOf(found).filter(({ severity }) => severity !== "note")).toEqual([]);
  });

  test("a format that is stated counts, though the content shows another", async () => {
    const found = await find(qcow2Layer("top.qcow2", "base.qcow2", "raw"), qcow2Layer("base.qcow2", null));
    expect(pathsOf(found)).toEqual([["top.qcow2", "base.qcow2"]]);
    expect(found.members.map(({ volume, format }) => [volume.format, format])).toEqual([
      ["qcow2", undefined],
      ["raw", "raw"],
    ]);
  });

  test("what is stated to be raw is read as raw, whatever its name promises", async () => {
    const found = await find(raw("base.vmdk"), qcow2Layer("top.qcow2", "base.vmdk", "raw"));
    expect([pathsOf(found), problemsOf(found)]).toEqual([[["top.qcow2", "base.vmdk"]], []]);
    expect(problemsOf(await find(raw("base.vmdk"), qcow2Layer("top.qcow2", "base.vmdk")))).toMatchObject([{ kind: "unreadable" }]);
  });
});

describe("problems", () => {
  test("a missing parent, by its exact name", async () => {
    const found = await find(qcow2Layer("top.qcow2", "/srv/Base Image.qcow2"), qcow2Layer("unrelated.qcow2", null));
    expect(problemsOf(found)).toEqual([
      {
        kind: "missing",
        severity: "stop",
        file: "top.qcow2",
        needs: "/srv/Base Image.qcow2",
        id: undefined,
        message: "top.qcow2 is a layer over “/srv/Base Image.qcow2”, which was not given",
      },
    ]);
    expect(found.members[0]).toMatchObject({ parent: null, problems: [{ kind: "missing" }] });
  });

  test("a missing VDI, by its UUID, and by its name where a .vbox registers it", async () => {
    const child = await vdiLayer("{s}.vdi", { id: uuid(2), parent: uuid(1) });
    expect(problemsOf(await find(child))).toMatchObject([{ kind: "missing", id: uuid(1), needs: `{${uuid(1)}}.vdi` }]);
    const vbox = `<VirtualBox><Machine name="m"><MediaRegistry><HardDisks><HardDisk uuid="{${uuid(1)}}" location="/vms/System Disk.vdi"/></HardDisks></MediaRegistry></Machine></VirtualBox>`;
    const [problem] = problemsOf(await find(child, textFile("m.vbox", vbox)));
    expect(problem).toMatchObject({ kind: "missing", id: uuid(1), needs: "System Disk.vdi" });
    expect(problem!.message).toContain("System Disk.vdi");
  });

  test.each([
    [["a.qcow2"], { "a.qcow2": "a.qcow2" }],
    [["a.qcow2", "b.qcow2"], { "a.qcow2": "b.qcow2", "b.qcow2": "a.qcow2" }],
    [["top.qcow2", "a.qcow2", "b.qcow2"], { "a.qcow2": "b.qcow2", "b.qcow2": "a.qcow2", "top.qcow2": "a.qcow2" }],
  ])("a ring: %j", async (members, parents) => {
    const found = await find(...Object.entries(parents).map(([name, parent]) => qcow2Layer(name, parent)));
    expect(pathsOf(found)).toEqual([members]);
    expect(problemsOf(found)).toMatchObject([{ kind: "cycle", severity: "stop", files: members.filter((name) => name !== "top.qcow2") }]);
  });

  test("another id under the right name needs consent: VMDK, VHD, VHDX", async () => {
    const hint = { CID: "0000000b", parentCID: "0000000a", parentFileNameHint: '"d.vmdk"' };
    const base = await vhdxLayer("b.vhdx", { seed: 1 });
    const found = await find(
      vmdkDescriptor("d.vmdk", { CID: "00000bad" }),
      vmdkDescriptor("s.vmdk", hint),
      await vhdLayer("p.vhd", { id: uuid(1) }),
      await vhdLayer("c.vhd", { id: uuid(2), parent: uuid(9), parentName: "p.vhd" }),
      base,
      await vhdxLayer("c.avhdx", { seed: 2, linkage: uuid(9), keys: { relative_path: "b.vhdx" } }),
    );
    expect(pathsOf(found).map(({ length }) => length)).toEqual([2, 2, 2]);
    expect(problemsOf(found).map(({ kind, severity, files }) => [kind, severity, files])).toEqual([
      ["mismatch", "confirm", ["d.vmdk"]],
      ["mismatch", "confirm", ["p.vhd"]],
      ["mismatch", "confirm", ["b.vhdx"]],
    ]);
    expect(problemsOf(found)[0]!.message).toContain("d.vmdk has the id 00000bad, but s.vmdk was made over 0000000a");
  });

  test("a VDI that was written to since needs consent", async () => {
    const found = await find(
      await vdiLayer("b.vdi", { id: uuid(1), version: uuid(0x12) }),
      await vdiLayer("s.vdi", { id: uuid(2), parent: uuid(1), parentVersion: uuid(0x11) }),
    );
    expect(problemsOf(found)).toMatchObject([{ kind: "changed", severity: "confirm", file: "s.vdi", files: ["b.vdi"] }]);
  });

  test("a VHD's time stamp, and a newer file, are remarked only", async () => {
    const child = await vhdLayer("c.vhd", { id: uuid(2), parent: uuid(1), parentName: "p.vhd", parentTime: 86_400 });
    const parent = await vhdLayer("p.vhd", { id: uuid(1) });
    const year2000 = 946_684_800;
    expect(problemsOf(await find(child, at("p.vhd", parent, year2000 + 86_400 + 3600)))).toEqual([]);
    expect(problemsOf(await find(child, at("p.vhd", parent, year2000 + 4 * 86_400)))).toMatchObject([
      { kind: "changed", severity: "note" },
    ]);
    const layers = (base: number, top: number) => [at("b", qcow2Layer("b", null), base), at("t", qcow2Layer("t", "b"), top)];
    expect(problemsOf(await find(...layers(1, 2)))).toEqual([]);
    expect(problemsOf(await find(...layers(3, 2)))).toMatchObject([{ kind: "newer", severity: "note", file: "t", files: ["b"] }]);
  });

  test.each([
    [32768, 65536, "longer"],
    [65536, 32768, "shorter"],
  ])("a child of %i bytes over a parent of %i", async (size, parent, word) => {
    const found = await find(qcow2Layer("t", "b", null, size), qcow2Layer("b", null, null, parent));
    expect(problemsOf(found)).toMatchObject([
      { kind: "size", severity: "note", message: expect.stringContaining(`b is ${word} (${parent} bytes)`) },
    ]);
  });

  test("several files with the identity are listed, and none is taken", async () => {
    const found = await find(
      await vdiLayer("one.vdi", { id: uuid(1) }),
      await vdiLayer("two.vdi", { id: uuid(1) }),
      await vdiLayer("s.vdi", { id: uuid(2), parent: uuid(1) }),
    );
    expect(problemsOf(found)).toMatchObject([{ kind: "ambiguous", severity: "stop", files: ["one.vdi", "two.vdi"] }]);
    const names = await find(at("x/b", qcow2Layer("b", null)), at("y/b", qcow2Layer("b", null)), at("z/t", qcow2Layer("t", "b")));
    expect(problemsOf(names)).toMatchObject([{ kind: "ambiguous", files: ["x/b", "y/b"] }]);
  });

  test("every new VMDK has the same CID: alone it proves nothing", async () => {
    const layer = (cid: string) => vmdkDescriptor("s.vmdk", { CID: "0000000b", parentCID: cid, parentFileNameHint: '"gone.vmdk"' });
    expect(problemsOf(await find(vmdkDescriptor("d.vmdk", { CID: "fffffffe" }), layer("fffffffe")))).toMatchObject([{ kind: "missing" }]);
    expect(problemsOf(await find(vmdkDescriptor("d.vmdk", { CID: "0000000a" }), layer("0000000a")))).toMatchObject([
      { kind: "substituted" },
    ]);
    const larger = vmdkDescriptor("d.vmdk", { CID: "0000000a" }, undefined, 99);
    expect(problemsOf(await find(larger, layer("0000000a")))).toMatchObject([{ kind: "missing" }]);
  });

  test("of two disks with the stated CID neither is taken, and both are named", async () => {
    const layer = vmdkDescriptor("s.vmdk", { CID: "0000000b", parentCID: "0000000a", parentFileNameHint: '"gone.vmdk"' });
    const bases = ["d.vmdk", "copy.vmdk"].map((name) => vmdkDescriptor(name, { CID: "0000000a" }));
    expect(problemsOf(await find(layer, ...bases))).toMatchObject([
      {
        kind: "ambiguous",
        severity: "stop",
        files: ["d.vmdk", "copy.vmdk"],
        message: expect.stringContaining("2 files may be that: d.vmdk, copy.vmdk"),
      },
    ]);
  });

  test("a snapshot that was not written to has its parent's CID", async () => {
    const same = { CID: "0000000a", parentCID: "0000000a" };
    const layers = [
      vmdkDescriptor("s2.vmdk", { ...same, parentFileNameHint: '"s1.vmdk"' }),
      vmdkDescriptor("s1.vmdk", { ...same, parentFileNameHint: '"d.vmdk"' }),
    ];
    const found = await find(...layers, vmdkDescriptor("d.vmdk", { CID: "0000000a" }));
    expect([pathsOf(found), problemsOf(found)]).toEqual([[["s2.vmdk", "s1.vmdk", "d.vmdk"]], []]);
    expect(problemsOf(await find(...layers))).toMatchObject([{ kind: "missing", file: "s1.vmdk", needs: "d.vmdk" }]);
  });

  test("a parent that cannot be opened, and what it lacks itself", async () => {
    const found = await find(
      vmdkDescriptor("d.vmdk", { CID: "0000000a" }, "d-flat.vmdk"),
      vmdkDescriptor("s.vmdk", { CID: "0000000b", parentCID: "0000000a", parentFileNameHint: '"d.vmdk"' }),
      memorySource("bad.qcow2", new Uint8Array(4096)),
      qcow2Layer("t.qcow2", "bad.qcow2"),
    );
    expect(problemsOf(found)).toMatchObject([
      { kind: "unreadable", severity: "stop", file: "s.vmdk", code: "missing-file", needs: "d-flat.vmdk", files: ["d.vmdk"] },
      { kind: "unreadable", file: "t.qcow2", code: "wrong-format", files: ["bad.qcow2"] },
    ]);
    expect(found.failures.map(({ path }) => path)).toEqual(["d.vmdk", "bad.qcow2"]);
  });

  test("more layers than are followed", async () => {
    const layers = Array.from({ length: 260 }, (_, i) => qcow2Layer(`${i}`, i === 0 ? null : `${i - 1}`));
    const found = await find(...layers);
    expect(found.chains.map(({ members }) => members.length)).toEqual([256]);
    expect(problemsOf(found)).toMatchObject([{ kind: "too-deep", severity: "stop" }]);
    expect(problemsOf(await find(...layers.slice(0, 256)))).toEqual([]);
  });
});

describe("a folder", () => {
  test.each([
    "../x",
    "/etc/passwd",
    "..\\..\\x",
    "http://h/x",
    "nbd:h:1",
    'json:{"file":{"driver":"nbd","filename":"/etc/passwd"}}',
    "x\0y",
    "..",
    "/",
    "C:",
  ])("the hostile name %j reaches nothing", async (name) => {
    const found = await find(at("in/t.qcow2", qcow2Layer("t.qcow2", name)), at("in/innocent.bin", raw("innocent.bin")));
    expect(problemsOf(found)).toMatchObject([{ kind: "missing", needs: name, file: "in/t.qcow2" }]);
    expect(found.members.map(({ path }) => path)).toEqual(["in/t.qcow2", "in/innocent.bin"]);
  });

  test("an image that others claim as their extent stays one", async () => {
    const found = await find(vmdkDescriptor("a.vmdk", {}, "b.qcow2", 1), qcow2Layer("b.qcow2", null));
    expect(pathsOf(found)).toEqual([["a.vmdk"], ["b.qcow2"]]);
  });

  test("files that an image is made of are no members: a split VMDK's, a Parallels bundle's", async () => {
    const parts = ["d-f001.vmdk", "d-f002.vmdk"];
    const lines = parts.map((name) => `RW 4096 FLAT "${name}" 0\n`).join("");
    const bundle = parallels.target!;
    const image = await writeImage(bundle.create(specFor(bundle, 4 << 20, "p.hdd", { bundle: "on" }), testCompute()), patternDisk(4));
    const split = textFile("d.vmdk", `# Disk DescriptorFile\nversion=1\nCID=1\ncreateType="twoGbMaxExtentFlat"\n${lines}`);
    const found = await find(...image.files, ...parts.map((name) => raw(name, 2 << 20)), split);
    expect(pathsOf(found)).toEqual([["DiskDescriptor.xml"], ["d.vmdk"]]);
    expect([found.others, found.failures, problemsOf(found)]).toEqual([[], [], []]);
  });

  test("what is no image is told apart from what should be one", async () => {
    const found = await find(
      textFile("readme.txt", "hello"),
      memorySource("empty.qcow2", new Uint8Array(0)),
      memorySource("damaged.vdi", noise(4096, 1)),
      memorySource("d-ctk.vmdk", noise(4096, 2)),
      raw("disk.img"),
      textFile("DiskDescriptor.xml", "<a/>"),
    );
    expect(pathsOf(found)).toEqual([["disk.img"]]);
    expect(found.failures.map(({ path, error }) => [path, error.code])).toEqual([["damaged.vdi", "wrong-format"]]);
    expect(found.others).toEqual(["readme.txt", "empty.qcow2", "d-ctk.vmdk", "DiskDescriptor.xml"]);
  });

  test("a disk in parts without a header of any format; logs and archives that are numbered are none", async () => {
    const found = await find(
      ...["disk.raw.001", "disk.raw.002", "image.000", "image.001", "image.002"].map((name) => raw(name)),
      raw("log.001", 1000),
      raw("notes.txt.001"),
      raw("lone.002"),
    );
    expect(pathsOf(found)).toEqual([["disk.raw.001"], ["image.000"]]);
    expect(found.members.map(({ volume }) => volume.files.length)).toEqual([2, 3]);
    expect(found.others).toEqual(["log.001", "notes.txt.001", "lone.002"]);
  });

  test("200 unrelated files are looked at once each, at their ends only", async () => {
    const files = Array.from({ length: 200 }, (_, i) => countingSource(memorySource(`f${i}.dat`, noise(1 << 18, i))));
    const found = await find(...files, qcow2Layer("t.qcow2", "b.qcow2"), qcow2Layer("b.qcow2", null));
    expect(pathsOf(found)).toEqual([["t.qcow2", "b.qcow2"]]);
    expect(found.others).toHaveLength(200);
    expect(files.map(({ bytesRead }) => bytesRead)).toEqual(files.map(() => 2 * 65536));
  });
});
