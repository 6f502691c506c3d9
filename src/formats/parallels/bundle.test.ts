import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, FileReference } from "../../core/model.ts";
import { diskOf } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { contextOf, readVolume, specFor, testCompute, writeImage } from "../../testing/image-harness.ts";
import { parallels } from "./index.ts";
import { DEFAULT_TOP, NO_PARENT } from "./spec.ts";

const target = parallels.target!;
const K64 = 1 << 16;
const [ROOT, MIDDLE, BRANCH] = ["11111111", "22222222", "33333333"].map((start) => `{${start}-0000-4000-8000-00000000000A}`) as [
  string,
  string,
  string,
];

interface Image {
  readonly guid: string;
  readonly file: string;
  readonly type?: string;
}
interface Part {
  readonly start: number;
  readonly end: number;
  readonly images: readonly Image[];
}
const imageXml = ({ guid, file, type = "Compressed" }: Image) =>
  `<Image><GUID>${guid}</GUID><Type>${type}</Type><File>${file}</File></Image>`;
const partXml = ({ start, end, images }: Part) =>
  `<Storage><Start>${start}</Start><End>${end}</End><Blocksize>128</Blocksize>${images.map(imageXml).join("")}</Storage>`;
/** The form that Parallels Desktop writes, with elements that the specification does not name. */
function xml(size: number, parts: readonly Part[], shots: readonly (readonly [string, string])[], top = ""): string {
  return `<?xml version='1.0' encoding='UTF-8'?>
<!-- a comment -->
<Parallels_disk_image Version="1.0">
  <Disk_Parameters>
    <Disk_size>${size}</Disk_size><Cylinders>${size}</Cylinders><PhysicalSectorSize>4096</PhysicalSectorSize>
    <Heads>1</Heads><Sectors>1</Sectors><Padding>0</Padding>
    <Encryption><Engine>${NO_PARENT}</Engine><Data></Data></Encryption>
    <Miscellaneous><Bootable>1</Bootable><Empty/></Miscellaneous>
  </Disk_Parameters>
  <StorageData>${parts.map(partXml).join("")}</StorageData>
  <Snapshots>${top === "" ? "" : `<TopGUID>${top}</TopGUID>`}${shots
    .map(([guid, parent]) => `<Shot><GUID>${guid}</GUID><ParentGUID>${parent}</ParentGUID></Shot>`)
    .join("")}</Snapshots>
</Parallels_disk_image>
`;
}

/** An expanding image of four 64 KiB clusters; `fills` are byte values, 0: not allocated. */
async function image(name: string, fills: readonly number[]): Promise<ByteSource> {
  const size = fills.length * K64;
  const blocks = new Map(fills.flatMap((fill, i) => (fill === 0 ? [] : [[i, new Uint8Array(K64).fill(fill)] as const])));
  const written = await writeImage(
    target.create(specFor(target, size, name, { cluster_size: "64k" }), testCompute()),
    diskOf(size, K64, blocks),
  );
  return written.files[0]!;
}
const plain = (name: string, fills: readonly number[]) =>
  memorySource(
    name,
    Uint8Array.from({ length: fills.length * K64 }, (_, i) => fills[Math.floor(i / K64)] as number),
  );
const descriptor = (text: string) => memorySource("DiskDescriptor.xml", new TextEncoder().encode(text));
const open = (text: string, files: readonly ByteSource[], snapshot?: string) =>
  parallels.open(descriptor(text), contextOf(files, snapshot));
async function fills(text: string, files: readonly ByteSource[], snapshot?: string): Promise<number[]> {
  const disk = await readVolume(await open(text, files, snapshot));
  const out: number[] = [];
  for (let at = 0; at < disk.length; at += K64) {
    expect(disk.subarray(at, at + K64).every((byte) => byte === disk[at])).toBe(true);
    out.push(disk[at] as number);
  }
  return out;
}
const SECTORS = 4 * 128;
const single = xml(SECTORS, [{ start: 0, end: SECTORS, images: [{ guid: DEFAULT_TOP, file: "a.hds" }] }], [[DEFAULT_TOP, NO_PARENT]]);

describe("bundles", () => {
  test("one image, however the names are asked for", async () => {
    expect(await fills(single, [await image("a.hds", [1, 0, 2, 3])])).toEqual([1, 0, 2, 3]);
    const asked: FileReference[] = [];
    const resolve = async (reference: FileReference) => {
      asked.push(reference);
      return null;
    };
    const context = { ...contextOf(), resolve };
    const elsewhere = single.replace("a.hds", "../&amp;x/a.hds");
    expect(await failure(parallels.open(descriptor(elsewhere), context))).toMatchObject({ code: "missing-file", needs: "../&x/a.hds" });
    expect(asked).toEqual([{ role: "extent", name: "../&x/a.hds", id: null, format: "parallels" }]);
  });

  test("the same without any Shot, and with a GUID of its own", async () => {
    const bare = single.replace(/<Shot>.*<\/Shot>/, "");
    const files = [await image("a.hds", [1, 0, 2, 3])];
    expect(await fills(bare, files)).toEqual([1, 0, 2, 3]);
    expect(await fills(bare.replaceAll(DEFAULT_TOP, ROOT), files)).toEqual([1, 0, 2, 3]);
    expect(await fills(single.replaceAll(DEFAULT_TOP, ROOT), files)).toEqual([1, 0, 2, 3]);
  });

  test("snapshots: the active state, and every other one, each through its own ancestors", async () => {
    const images = [
      { guid: DEFAULT_TOP, file: "top.hds" },
      { guid: BRANCH, file: "branch.hds" },
      { guid: ROOT, file: "root.hds", type: "Plain" },
      { guid: MIDDLE, file: "middle.hds" },
    ];
    const shots = [
      [ROOT, NO_PARENT],
      [MIDDLE, ROOT],
      [BRANCH, ROOT],
      [DEFAULT_TOP, MIDDLE],
    ] as const;
    const text = xml(SECTORS, [{ start: 0, end: SECTORS, images }], shots);
    const files = [
      plain("root.hds", [1, 2, 3, 4]),
      await image("middle.hds", [0, 12, 0, 14]),
      await image("branch.hds", [21, 0, 0, 0]),
      await image("top.hds", [0, 0, 0, 34]),
    ];
    expect(await fills(text, files)).toEqual([1, 12, 3, 34]);
    expect(await fills(text, files, MIDDLE)).toEqual([1, 12, 3, 14]);
    expect(await fills(text, files, BRANCH.slice(1, -1))).toEqual([21, 2, 3, 4]);
    expect(await fills(text, files, ROOT)).toEqual([1, 2, 3, 4]);
    expect((await failure(open(text, files, "monday"))).code).toBe("usage");
    const volume = await open(text, files);
    expect(volume.variant).toBe("bundle, 3 images deep");
    expect(volume.files.map(({ name }) => name)).toEqual(["top.hds", "middle.hds", "root.hds"]);
    expect(volume.snapshots.map(({ id }) => id)).toEqual([ROOT, MIDDLE, BRANCH].map((guid) => guid.toLowerCase()));
    // With a TopGUID the predefined one means nothing.
    expect(await fills(text.replace("<Snapshots>", `<Snapshots><TopGUID>${BRANCH}</TopGUID>`), files)).toEqual([21, 2, 3, 4]);
    const loop = text.replace(`<GUID>${ROOT}</GUID><ParentGUID>${NO_PARENT}`, `<GUID>${ROOT}</GUID><ParentGUID>${MIDDLE}`);
    expect((await failure(open(loop, files))).message).toContain("lead back");
    const overlay = text.replace("middle.hds</File>", "x</File>").replace("<Type>Compressed</Type><File>x", "<Type>Plain</Type><File>x");
    expect((await failure(open(overlay, files))).message).toContain("Plain");
  });

  test("a split disk, each part with its own chain", async () => {
    const parts = [
      { start: 256, end: 512, images: [ROOT, DEFAULT_TOP].map((guid, i) => ({ guid, file: `b${i}` })) },
      { start: 0, end: 256, images: [ROOT, DEFAULT_TOP].map((guid, i) => ({ guid, file: `a${i}` })) },
    ];
    const shots = [
      [DEFAULT_TOP, ROOT],
      [ROOT, NO_PARENT],
    ] as const;
    const text = xml(SECTORS, parts, shots);
    const files = [await image("a0", [1, 2]), await image("a1", [0, 12]), await image("b0", [3, 4]), await image("b1", [13, 0])];
    expect(await fills(text, files)).toEqual([1, 12, 13, 4]);
    expect(await parallels.check!(descriptor(text), contextOf(files))).toMatchObject({
      corruptions: 0,
      allocatedClusters: 6,
      findings: [],
    });
    const broken = await files[3]!.read(0, files[3]!.size);
    new DataView(broken.buffer).setUint32(64, 9, true);
    const damaged = [...files.slice(0, 3), memorySource("b1", broken)];
    const guest = { start: 2 * K64, length: K64 };
    const volume = await open(text, damaged);
    expect(await failure(volume.extents(2 * K64, K64))).toMatchObject({ code: "corrupt", file: "b1", at: 64, guest });
    expect(await parallels.check!(descriptor(text), contextOf(damaged))).toMatchObject({ corruptions: 1, leaks: 1 });
    const gap = text.replace("<Start>256<", "<Start>257<");
    expect((await failure(open(gap, files))).message).toContain("where 256 is next");
  });

  test("an image that is too small is refused, one that is larger is told", async () => {
    expect(await failure(open(single, [await image("a.hds", [1, 2, 3])]))).toMatchObject({ code: "corrupt", file: "DiskDescriptor.xml" });
    const larger = await open(single, [await image("a.hds", [1, 2, 3, 4, 5])]);
    expect(larger.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("larger") }]);
    const wrongType = single.replace("Compressed", "Plain");
    expect((await failure(open(wrongType, [plain("a.hds", [1, 2])]))).message).toContain("131072 bytes of disk");
  });

  test.each<[string, (text: string) => string, string]>([
    ["another version", (text) => text.replace('"1.0"', '"2.0"'), "unsupported"],
    ["padding", (text) => text.replace("<Padding>0", "<Padding>1"), "unsupported"],
    ["no size", (text) => text.replace(/<Disk_size>.*<\/Disk_size>/, ""), "corrupt"],
    ["a size that is none", (text) => text.replace("<Disk_size>512", "<Disk_size>-1"), "corrupt"],
    ["a size of 0", (text) => text.replace("<Disk_size>512", "<Disk_size>0"), "corrupt"],
    ["a size past 2^53", (text) => text.replace("<Disk_size>512", "<Disk_size>9007199254740991"), "limit"],
    ["storages that end too early", (text) => text.replace("<End>512", "<End>511"), "corrupt"],
    ["two sizes", (text) => text.replace("<Heads>", "<Disk_size>512</Disk_size><Heads>"), "corrupt"],
    ["a GUID that is none", (text) => text.replaceAll(DEFAULT_TOP, "{1}"), "corrupt"],
    ["an unknown type", (text) => text.replace("Compressed", "Squeezed"), "unsupported"],
    ["no Storage", (text) => text.replace(/<Storage>.*<\/Storage>/, ""), "corrupt"],
    ["an image that is the descriptor", (text) => text.replace("a.hds", "DiskDescriptor.xml"), "corrupt"],
    ["a parent that nothing describes", (text) => text.replace(`<ParentGUID>${NO_PARENT}`, `<ParentGUID>${ROOT}`), "corrupt"],
    ["a top that is not there", (text) => text.replace("<Snapshots>", `<Snapshots><TopGUID>${ROOT}</TopGUID>`), "corrupt"],
    ["a document type", (text) => text.replace("<!-- a", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><!-- a"), "corrupt"],
    ["an entity", (text) => text.replace("a.hds", "&y;"), "corrupt"],
    ["half of it", (text) => text.slice(0, text.length / 2), "corrupt"],
  ])("%s is refused", async (_, edit, code) => {
    const text = edit(single);
    expect(text).not.toBe(single);
    const error = await failure(open(text, [await image("a.hds", [1, 0, 2, 3])]));
    expect([error.code, error.file, typeof error.at]).toEqual([code, "DiskDescriptor.xml", "number"]);
  });

  test("an encrypted disk is told of and not read", async () => {
    const volume = await open(single.replace(NO_PARENT, ROOT), [await image("a.hds", [1, 0, 2, 3])]);
    expect([volume.encrypted, volume.unsupported]).toEqual([true, ["encryption"]]);
    expect((await failure(volume.extents(0, 512))).code).toBe("unsupported");
  });

  test("an image of a bundle, opened alone, says what it may be", async () => {
    const alone = await parallels.open(await image("a.hds", [1, 0, 2, 3]), contextOf());
    expect(alone.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("DiskDescriptor.xml") }]);
  });
});

test("altered descriptors give a DiskError or a disk, and nothing else", async () => {
  const files = [await image("a.hds", [1, 0, 2, 3])];
  const bytes = new TextEncoder().encode(single);
  const edits = fc.array(
    fc.tuple(fc.nat(bytes.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(...new TextEncoder().encode("<>/&'\"-0 ")))),
    {
      minLength: 1,
      maxLength: 3,
    },
  );
  await fc.assert(
    fc.asyncProperty(edits, async (list) => {
      const damaged = bytes.slice();
      for (const [at, value] of list) damaged[at] = value;
      parallels.probe(damaged, damaged);
      const work = parallels.open(memorySource("DiskDescriptor.xml", damaged), contextOf(files)).then(async (volume) => readVolume(volume));
      const result = await work.catch((error: unknown) => error);
      expect(result instanceof DiskError || result instanceof Uint8Array).toBe(true);
    }),
    { numRuns: 300 },
  );
});
