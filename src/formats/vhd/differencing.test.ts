import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { uuidText } from "../../core/uuid.ts";
import { openDisk } from "../../jobs/chain.ts";
import { noise } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { judge } from "../../testing/judges.ts";
import { readByLibvhdi } from "../../testing/libvhdi.ts";
import { type Bytes, blockAt, entry, MIB, setFooter, setHeader, TABLE_AT, UNIT, written } from "../../testing/vhd-images.ts";
import { vhd } from "./index.ts";
import { Header, Locator, tag } from "./spec.ts";

const sevenZip = judge("7zz");
const folder = mkdtempSync(join(tmpdir(), "vhd-differencing-"));
afterAll(() => rmSync(folder, { recursive: true }));
const save = (name: string, bytes: Uint8Array) => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};
const open = (bytes: Uint8Array) => vhd.open(memorySource("d.vhd", bytes), contextOf());
const findings = async (bytes: Uint8Array) => (await vhd.check!(memorySource("d.vhd", bytes), contextOf())).findings;

const SIZE = 5 * MIB;
const PARENT_ID = "11111111-2222-4333-8444-555555555555";
const utf16 = (text: string, little: boolean): Uint8Array => {
  const out = Buffer.from(text, "utf16le");
  return little ? out : out.swap16();
};
interface Child {
  readonly bits: ReadonlyMap<number, Uint8Array>;
  readonly fill: number;
  readonly locators?: readonly (readonly [code: string, data: Uint8Array])[];
  readonly unicodeName?: string;
  readonly parentId?: Uint8Array;
}
const parentImage = () => written(SIZE, new Map([0, 1, 2].map((i) => [i, noise(UNIT, i + 1)])), { id: PARENT_ID });
/** A child whose blocks hold the byte `fill` in every sector, whatever their bits say. */
async function child({
  bits,
  fill,
  locators = [["W2ru", utf16(".\\parent.vhd", true)]],
  unicodeName = "parent.vhd",
  parentId,
}: Child): Promise<Bytes> {
  const bytes = await written(SIZE, new Map([...bits.keys()].map((i) => [i, new Uint8Array(UNIT).fill(fill)])));
  const room = 4096;
  const out = new Uint8Array(bytes.length + room);
  out.set(bytes.subarray(0, 2048));
  out.set(bytes.subarray(2048), 2048 + room);
  const table = new Uint8Array(8 * Locator.bytes);
  for (const [i, [code, data]] of locators.entries()) {
    const at = 2048 + i * 512;
    out.set(data, at);
    const place = { platformDataSpace: 512, platformDataLength: data.length, reserved: 0, platformDataOffset: BigInt(at) };
    table.set(Locator.write({ platformCode: tag(code), ...place }), i * Locator.bytes);
  }
  const name = new Uint8Array(512);
  name.set(utf16(unicodeName, false));
  const id = parentId ?? Uint8Array.from(Buffer.from(PARENT_ID.replaceAll("-", ""), "hex"));
  setHeader(out, { parentUniqueId: id, parentTimeStamp: 1, parentUnicodeName: name, parentLocators: table });
  setFooter(out, { diskType: 4, uniqueId: new Uint8Array(16).fill(3) });
  for (const [slot, [block, bitmap]] of [...bits].entries()) {
    out.set(bitmap, blockAt(slot) + room);
    entry(out, block, (blockAt(slot) + room) / 512);
  }
  return out;
}
const chainOf = (files: Readonly<Record<string, Uint8Array>>, name = "child.vhd") => {
  const sources: ByteSource[] = Object.entries(files).map(([file, bytes]) => memorySource(file, bytes));
  const resolve = async (reference: { name: string }) => sources.find((file) => reference.name.endsWith(file.name)) ?? null;
  return openDisk(sources.find((file) => file.name === name)!, { ...contextOf(), resolve }, "vpc");
};
/** What the chain must read, sector by sector. */
async function expectedOf(parent: Uint8Array, bits: ReadonlyMap<number, Uint8Array>, fill: number): Promise<Bytes> {
  const disk = await readVolume(await open(parent));
  for (const [block, bitmap] of bits)
    for (let sector = 0; sector < UNIT / 512; sector++) {
      const at = block * UNIT + sector * 512;
      if (at < SIZE && (bitmap[sector >> 3]! & (0x80 >> (sector & 7))) !== 0) disk.fill(fill, at, at + 512);
    }
  return disk;
}
const bitmap = (seed: number, keep = 0xff) => noise(512, seed).map((byte) => byte & keep);

describe("differencing", () => {
  test("clear bits and unused entries are the parent's; without it the parent is asked for, by name and id", async () => {
    const parent = await parentImage();
    const bits = new Map([
      [0, bitmap(1)],
      [2, bitmap(2)],
    ]);
    const bytes = await child({ bits, fill: 0xee });
    const volume = await open(bytes);
    expect(volume).toMatchObject({ variant: "differencing", identity: "03030303-0303-0303-0303-030303030303", notes: [] });
    expect(volume.parent).toEqual({ role: "parent", name: ".\\parent.vhd", id: PARENT_ID, format: "vpc", changed: 946_684_801 });
    expect(volume.details).toMatchObject({ "parent-uuid": PARENT_ID, "parent-time-stamp": 946_684_801, "parent-name": "parent.vhd" });
    expect(await failure(chainOf({ "child.vhd": bytes }))).toMatchObject({ code: "missing-file", needs: ".\\parent.vhd" });
    const { chain } = await chainOf({ "child.vhd": bytes, "parent.vhd": parent });
    expect(Buffer.compare(await readVolume(chain), await expectedOf(parent, bits, 0xee))).toBe(0);
    const other = await written(SIZE, new Map());
    expect((await failure(chainOf({ "child.vhd": bytes, "parent.vhd": other }))).message).toContain(PARENT_ID);
    expect(await findings(bytes)).toEqual([]);
  });

  test("any bits, read in any windows", async () => {
    const parent = await parentImage();
    const arbitraryBits = fc
      .array(fc.tuple(fc.integer({ min: 1, max: 400 }), fc.boolean()), { minLength: 1, maxLength: 40 })
      .map((runs) => {
        const out = new Uint8Array(512);
        let sector = 0;
        for (const [count, isSet] of runs)
          for (let i = 0; i < count && sector < 4096; i++, sector++) if (isSet) out[sector >> 3]! |= 0x80 >> (sector & 7);
        return out;
      });
    await fc.assert(
      fc.asyncProperty(arbitraryBits, fc.nat(SIZE - 1), fc.nat(200_000), async (one, start, length) => {
        const bits = new Map([[1, one]]);
        const { chain } = await chainOf({ "child.vhd": await child({ bits, fill: 0x55 }), "parent.vhd": parent });
        const expected = await expectedOf(parent, bits, 0x55);
        const end = Math.min(SIZE, start + length + 1);
        expect(Buffer.compare(await readVolume(chain, start, end - start), expected.subarray(start, end))).toBe(0);
        expect(Buffer.compare(await readVolume(chain, UNIT, UNIT), expected.subarray(UNIT, 2 * UNIT))).toBe(0);
      }),
      { numRuns: 15 },
    );
  });

  test.each<[string, readonly (readonly [string, Uint8Array])[], string]>([
    [
      "relative before absolute",
      [
        ["W2ku", utf16("C:\\a\\p.vhd", true)],
        ["W2ru", utf16("..\\p.vhd", true)],
      ],
      "..\\p.vhd",
    ],
    ["absolute", [["W2ku", utf16("C:\\ä\\p.vhd\0", true)]], "C:\\ä\\p.vhd"],
    ["big-endian", [["W2ru", utf16(".\\p.vhd", false)]], ".\\p.vhd"],
    ["a file URL", [["MacX", Buffer.from("file://localhost/My%20Disks/p.vhd\0")]], "file://localhost/My Disks/p.vhd"],
    [
      "old 8-bit paths",
      [
        ["Mac ", Uint8Array.of(1, 2, 3)],
        ["Wi2r", Buffer.from(".\\old.vhd")],
      ],
      ".\\old.vhd",
    ],
    ["an alias only: the name in the header", [["Mac ", Uint8Array.of(1, 2, 3)]], "parent.vhd"],
    ["none: the name in the header", [], "parent.vhd"],
  ])("parent locators: %s", async (_, locators, name) => {
    expect((await open(await child({ bits: new Map(), fill: 1, locators }))).parent?.name).toBe(name);
  });

  test("a locator that cannot be is left out with a warning; with neither name nor id there is no parent to ask for", async () => {
    const bytes = await child({ bits: new Map(), fill: 1 });
    const table = Header.read(bytes, 512).parentLocators;
    new DataView(table.buffer).setUint32(20, 0x7fffffff);
    const volume = await open(setHeader(bytes, { parentLocators: table }));
    expect(volume.parent?.name).toBe("parent.vhd");
    expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("Parent locator 1 (W2ru)") }]);
    const nameless = await child({ bits: new Map(), fill: 1, locators: [], unicodeName: "" });
    expect((await open(nameless)).parent?.name).toBe(`{${PARENT_ID}}.vhd`);
    const orphan = await child({ bits: new Map(), fill: 1, locators: [], unicodeName: "", parentId: new Uint8Array(16) });
    expect(await failure(open(orphan))).toMatchObject({
      at: 512 + Header.offsetOf("parentUniqueId"),
      message: expect.stringContaining("parent"),
    });
    const unproven = await open(await child({ bits: new Map(), fill: 1, parentId: new Uint8Array(16) }));
    expect(unproven.parent?.id).toBe(null);
    expect(unproven.notes[0]?.text).toContain("cannot be told");
  });

  test("whatever byte of its headers and locators is altered: right, told, or an error that names a place", async () => {
    const parent = await parentImage();
    const bits = new Map([[0, bitmap(3)]]);
    const whole = await child({ bits, fill: 0x77 });
    const expected = await expectedOf(parent, bits, 0x77);
    await fc.assert(
      fc.asyncProperty(fc.nat(2048 + 512), fc.nat(255), fc.boolean(), async (at, value, mend) => {
        const bytes = whole.slice();
        bytes[at] = value;
        if (mend) setHeader(bytes, {});
        const outcome = await chainOf({ "child.vhd": bytes, "parent.vhd": parent })
          .then(async ({ chain, notes }) => ({ notes, disk: await readVolume(chain, 0, UNIT) }))
          .catch((error: unknown) => error);
        if (outcome instanceof DiskError) {
          expect(outcome.file).toMatch(/\.vhd$/);
          return;
        }
        const { notes, disk } = outcome as { notes: readonly unknown[]; disk: Bytes };
        // With a checksum that was set right, a cleared table entry is another sound image.
        if (notes.length === 0 && at < TABLE_AT) expect(Buffer.compare(disk, expected.subarray(0, UNIT))).toBe(0);
      }),
      { numRuns: 60, seed: 3 },
    );
  });

  const vhdiinfo = judge("vhdiinfo");
  test.skipIf(readByLibvhdi === null || vhdiinfo === null)("libvhdi reads the same chain", async () => {
    // It mixes up parent and child within one byte of the bitmap, so only whole bytes are put to it.
    const bits = new Map([0, 1].map((i) => [i, noise(512, i + 5).map((byte) => (byte < 128 ? 0 : 0xff))]));
    const parent = await parentImage();
    const paths = [save("child.vhd", await child({ bits, fill: 0xee })), save("parent.vhd", parent)];
    expect(Buffer.compare(readByLibvhdi!(paths), await expectedOf(parent, bits, 0xee))).toBe(0);
    const told = vhdiinfo!.must([paths[0] as string]);
    for (const part of [uuidText(new Uint8Array(16).fill(3)), PARENT_ID, "parent.vhd"]) expect(told).toContain(part);
  });

  test.skipIf(sevenZip === null)("7-Zip reads the same chain, whatever the bits", async () => {
    const bits = new Map([0, 1, 2].map((i) => [i, bitmap(i + 9)]));
    const parent = await parentImage();
    save("parent.vhd", parent);
    const path = save("child.vhd", await child({ bits, fill: 0xee }));
    expect(Buffer.compare(sevenZip!.bytes(["x", "-so", "-tvhd", path]), await expectedOf(parent, bits, 0xee))).toBe(0);
  });
});
