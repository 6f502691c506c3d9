import { describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import type { ByteSource, FileReference } from "../../core/model.ts";
import { diskBytes, noise } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { sameBytes } from "../../testing/streams.ts";
import { SMALL, sparse, stream } from "../../testing/vmdk-images.ts";
import { vmdk } from "./index.ts";
import { SECTOR } from "./spec.ts";

const MIB = 1 << 20;
const open = (bytes: Uint8Array, name = "d.vmdk", files: readonly ByteSource[] = []) =>
  vmdk.open(memorySource(name, bytes), contextOf(files));
const text = (lines: string) => new TextEncoder().encode(lines);
const descriptor = (extents: string, createType = "monolithicFlat", more = "") =>
  text(`# Disk DescriptorFile\nversion=1\nCID=0badcafe\nparentCID=ffffffff\n${more}createType="${createType}"\n\n${extents}\n`);

describe("descriptor files", () => {
  const a = memorySource("a.bin", noise(2 * MIB, 1));
  const b = memorySource("b.bin", noise(MIB, 2));

  test("ZERO and RDONLY extents are data of the disk, offsets count in sectors", async () => {
    const lines = 'RW 2048 FLAT "a.bin" 0\nRDONLY 2048 FLAT "b.bin" 0\nRW 2048 ZERO\nrw 1024 vmfs "a.bin" 3072';
    const volume = await open(descriptor(lines), "d.vmdk", [a, b]);
    expect(volume.size).toBe(3.5 * MIB);
    expect(volume.files.map(({ name }) => name)).toEqual(["d.vmdk", "a.bin", "b.bin"]);
    const expected = Buffer.concat([await a.read(0, MIB), await b.read(0, MIB), Buffer.alloc(MIB), await a.read(1.5 * MIB, MIB / 2)]);
    sameBytes(await readVolume(volume), expected);
    sameBytes(await readVolume(volume, MIB - 3, 2 * MIB), expected.subarray(MIB - 3, 3 * MIB - 3));
    expect((await volume.extents(2 * MIB, 100))[0]).toEqual({ kind: "zero", start: 2 * MIB, length: 100 });
    expect(volume.details["extents"]).toHaveLength(4);
  });

  test("a descriptor with CRLF, odd spacing, no quotes and another encoding", async () => {
    const lines =
      '# Disk DescriptorFile\r\nversion = 1\r\nencoding="windows-1252"\r\n cid=1\r\ncreateType = vmfs\r\nRW  2048\tVMFS  "\u00fc.bin"\r\n';
    const latin1 = Uint8Array.from(lines, (c) => c.charCodeAt(0));
    const volume = await open(latin1, "d.vmdk", [memorySource("\u00fc.bin", noise(MIB, 3))]);
    expect([volume.size, volume.variant, volume.parent]).toEqual([MIB, "vmfs", null]);
    expect(volume.details["cid"]).toBe(1);
  });

  test.each([
    ["RW 2048 FLAT", /without a file name/],
    ["RW 2048", /type of extent/],
    ['RW x FLAT "a.bin"', /size is x/],
    ['RW 1.5 FLAT "a.bin"', /size is 1\.5/],
    ["RW 0 ZERO", /0 sectors/],
    ['RW 2048 FLAT "a.bin" -1', /offset is -1/],
    ['RW 2048 FLAT "a.bin" 2049', /ends at byte/],
    ['RW 4097 FLAT "a.bin"', /ends at byte/],
    ['RX 2048 FLAT "a.bin" 0', /neither a setting nor an extent/],
    ['NOACCESS 2048 FLAT "a.bin" 0', /NOACCESS/],
    ['RW 2048 FLAT "a.bin" 0\nRW 2048 FLAT "a.bin" 2047', /same sectors/],
    ['RW 2048 SPARSE "a.bin"', /magicNumber/],
    ["CID=1", /CID is "1", but was/],
    ["parentCID=xyz\nRW 1 ZERO", /parentCID is "xyz"/],
    [`${"RW 17592186044415 ZERO\n".repeat(3)}`, /2\^53/],
    ["", /no extents/],
  ])("%j is refused", async (lines, message) => {
    const bytes = lines.startsWith("parentCID") ? text(`version=1\n${lines}`) : descriptor(lines);
    expect((await failure(open(bytes, "d.vmdk", [a, b]))).message).toMatch(message);
  });

  test("names are asked for verbatim, and a missing one is named", async () => {
    for (const name of [
      "/etc/passwd",
      "..\\..\\x.vmdk",
      "nbd://127.0.0.1:1",
      'json:{\\"driver\\":\\"null-co\\"}',
      "\\\\.\\PhysicalDrive0",
    ]) {
      const asked: FileReference[] = [];
      const resolve = async (reference: FileReference) => {
        asked.push(reference);
        return null;
      };
      const error = await failure(vmdk.open(memorySource("d.vmdk", descriptor(`RW 8 FLAT "${name}" 0`)), { ...contextOf(), resolve }));
      expect([error.code, error.needs]).toEqual(["missing-file", name]);
      expect(asked).toMatchObject([{ role: "extent", name }]);
    }
  });

  test("the descriptor as its own extent is a loop, under any name", async () => {
    const bytes = descriptor('RW 1 FLAT "other" 0');
    const itself = memorySource("d.vmdk", bytes);
    const error = await failure(vmdk.open(itself, { ...contextOf(), resolve: async () => memorySource("d.vmdk", bytes) }));
    expect(error.message).toContain("loop");
  });

  test("what lies on devices opens for inspection and asks for no file", async () => {
    for (const [type, line, reason] of [
      ["fullDevice", 'RW 2048 FLAT "/dev/sda" 0', "an extent that is the device /dev/sda"],
      [
        "partitionedDevice",
        'RW 63 FLAT "a.bin" 0\nRW 1985 FLAT "\\\\.\\PhysicalDrive0" 63',
        "an extent that is the device \\\\.\\PhysicalDrive0",
      ],
      ["vmfsRDM", 'RW 2048 VMFSRDM "x-rdm.vmdk"', 'createType "vmfsRDM" (a device mapping'],
      ["vmfsRaw", 'RW 2048 VMFSRAW "/vmfs/devices/disks/x"', 'createType "vmfsRaw" (a device mapping'],
      ["vmfsPassthroughRawDeviceMap", 'RW 2048 VMFSRDM "x-rdmp.vmdk"', 'createType "vmfsPassthroughRawDeviceMap" (a device'],
      ["vmfs", 'RW 2048 VMFSRDM "x-rdm.vmdk"', "VMFSRDM extents (x-rdm.vmdk), which stand for a device"],
      ["nonsense", 'RW 2048 FLAT "a.bin"', 'createType "nonsense"'],
    ] as const) {
      const volume = await open(descriptor(line, type));
      expect(volume.size).toBe(MIB);
      expect(volume.unsupported[0]).toContain(reason);
      expect((await failure(volume.extents(0, 512))).code).toBe("unsupported");
    }
    const encrypted = await open(descriptor("RW 2048 ZERO", "monolithicFlat", 'encryptionKeys="vmware:key/x"\n'));
    expect([encrypted.encrypted, encrypted.unsupported]).toEqual([true, ["encryption"]]);
  });

  test.each(["vmfs", "vmfsThin", "vmfsEagerZeroedThick", "vmfsPreallocated", "fullDevice", "partitionedDevice", "custom"])(
    "%s: plain files, with an offset, and change tracking",
    async (type) => {
      const lines = descriptor('RW 1024 VMFS "a.bin" 512\nchangeTrackPath="d-ctk.vmdk"', type);
      const volume = await open(lines, "d.vmdk", [a]);
      sameBytes(await readVolume(volume), await a.read(512 * SECTOR, MIB / 2));
      expect([volume.variant, volume.unit, volume.notes[0]?.text]).toEqual([type, 0, expect.stringContaining("changed block tracking")]);
    },
  );

  test("a parent is named with its CID; without a name the layer cannot be read", async () => {
    const layer = (hint: string) => text(`version=1\nCID=2\nparentCID=0badcafe\n${hint}createType="twoGbMaxExtentFlat"\nRW 1 ZERO\n`);
    expect((await open(layer('parentFileNameHint="../base.vmdk"\n'))).parent).toEqual({
      role: "parent",
      name: "../base.vmdk",
      id: "0badcafe",
      format: "vmdk",
    });
    expect((await open(layer(""))).unsupported[0]).toContain("0badcafe");
  });

  test("split sparse extents; one that does not fit its line is another disk's", async () => {
    const parts = [memorySource("d-s001.vmdk", sparse), memorySource("d-s002.vmdk", stream)];
    const sectors = SMALL.size / SECTOR;
    const lines = `RW ${sectors} SPARSE "d-s001.vmdk"\nRW ${sectors} SPARSE "d-s002.vmdk"`;
    const volume = await open(descriptor(lines, "twoGbMaxExtentSparse"), "d.vmdk", parts);
    expect(volume.size).toBe(2 * SMALL.size);
    sameBytes(await readVolume(volume), Buffer.concat([diskBytes(SMALL), diskBytes(SMALL)]));
    for (const wrong of [lines.replace(`${sectors}`, "128"), lines.replace("s002", "s001")])
      expect((await failure(open(descriptor(wrong, "twoGbMaxExtentSparse"), "d.vmdk", parts))).code).toBe("corrupt");
  });

  test("too many extents, too long a descriptor", async () => {
    expect((await failure(open(descriptor("RW 1 ZERO\n".repeat(10_001))))).code).toBe("limit");
    expect((await open(descriptor("RW 1 ZERO\n".repeat(10_000)))).size).toBe(10_000 * SECTOR);
    expect((await failure(open(descriptor(`#${" ".repeat(1 << 20)}`)))).code).toBe("limit");
    const quotes = descriptor(`RW 1 FLAT "${'" '.repeat(400_000)}`);
    expect((await failure(open(quotes))).code).toBe("corrupt");
  });
});
