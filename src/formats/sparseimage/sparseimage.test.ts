import { describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import { failure } from "../../testing/failure.ts";
import { checked, contextOf, readVolume } from "../../testing/image-harness.ts";
import { detect } from "../registry.ts";
import { sparseimage } from "./index.ts";
import { Header, IndexNode, NODE_BYTES, SECTOR, SIGNATURE } from "./spec.ts";

const BAND = 4 * SECTOR;
const HEADER_SLOTS = (NODE_BYTES - Header.bytes) / 4;

/** An image whose bands hold their own number (from 1) in every byte; bands beyond the header's slots go to index nodes. */
function build(sectors: number, bands: readonly number[], fields: Partial<ReturnType<typeof Header.read>> = {}): Uint8Array<ArrayBuffer> {
  const nodes: number[][] = [bands.slice(0, HEADER_SLOTS)];
  const perNode = (NODE_BYTES - IndexNode.bytes) / 4;
  for (let i = HEADER_SLOTS; i < bands.length; i += perNode) nodes.push(bands.slice(i, i + perNode));
  let at = 0;
  const parts = nodes.map((numbers, i) => {
    at += NODE_BYTES + numbers.length * BAND;
    const nextNode = i + 1 < nodes.length ? BigInt(at) : 0n;
    const head =
      i === 0
        ? Header.write({
            signature: SIGNATURE,
            version: 3,
            sectorsPerBand: BAND / SECTOR,
            flags: 1,
            sectorsLow: sectors,
            nextNode,
            sectors: BigInt(sectors),
            reserved: new Uint8Array(28),
            ...fields,
          })
        : IndexNode.write({ signature: SIGNATURE, number: i - 1, flags: 1, nextNode, reserved: new Uint8Array(36) });
    const node = Buffer.alloc(NODE_BYTES);
    node.set(head);
    numbers.forEach((number, slot) => {
      node.writeUInt32BE(number, head.length + slot * 4);
    });
    return Buffer.concat([node, ...numbers.map((number) => Buffer.alloc(BAND, number))]);
  });
  return Uint8Array.from(Buffer.concat(parts));
}
const open = (bytes: Uint8Array) => sparseimage.open(memorySource("d.sparseimage", bytes), contextOf());

describe("reading", () => {
  test("bands in any order; those that are not there are holes", async () => {
    const bytes = build(18, [4, 1, 5]);
    expect(detect(bytes, bytes).id).toBe("sparseimage");
    const volume = checked(await open(bytes));
    expect(volume).toMatchObject({ size: 18 * SECTOR, unit: BAND, notes: [] });
    const kinds = (await volume.extents(0, volume.size)).map(({ kind, length }) => [kind, length / SECTOR]);
    expect(kinds).toEqual([
      ["raw", 4],
      ["hole", 8],
      ["raw", 4],
      ["raw", 2],
    ]);
    const disk = await readVolume(volume);
    expect([0, 5, 9, 13, 17].map((sector) => disk[sector * SECTOR + 100])).toEqual([1, 0, 0, 4, 5]);
    expect((await readVolume(volume, 13 * SECTOR + 5, 600))[550]).toBe(4);
  });

  test("more bands than the header has room for", async () => {
    const bands = Array.from({ length: 2100 }, (_, i) => 2100 - i);
    const volume = await open(build(2101 * 4, bands));
    const disk = await readVolume(volume);
    for (let band = 0; band < 2100; band++) expect(disk[band * BAND + 9]).toBe((band + 1) % 256);
    expect(disk[2100 * BAND]).toBe(0);
  });

  test("a file that is cut off loses only what is behind the cut", async () => {
    const bytes = build(16, [1, 2, 3]);
    const volume = checked(await open(bytes.slice(0, NODE_BYTES + BAND + SECTOR)));
    expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("cut off") }]);
    expect((await readVolume(volume, 0, 5 * SECTOR))[BAND]).toBe(2);
    await expect(volume.extents(5 * SECTOR, SECTOR)).rejects.toMatchObject({
      code: "corrupt",
      at: Header.bytes + 4,
      guest: { start: 5 * SECTOR, length: 3 * SECTOR },
    });
    expect((await readVolume(volume, 12 * SECTOR, BAND)).every((byte) => byte === 0)).toBe(true);
  });

  test("a band that two entries name is refused, the others are not", async () => {
    const volume = checked(await open(build(16, [2, 1, 2, 9])));
    expect(volume.notes).toHaveLength(2);
    expect((await readVolume(volume, 0, BAND))[0]).toBe(1);
    await expect(volume.extents(BAND, BAND)).rejects.toMatchObject({ code: "corrupt", guest: { start: BAND, length: BAND } });
  });

  test.each<[string, Partial<ReturnType<typeof Header.read>>, string, string]>([
    ["signature", { signature: 1 }, "corrupt", "signature"],
    ["version", { version: 2 }, "unsupported", "version"],
    ["no band size", { sectorsPerBand: 0 }, "corrupt", "sectorsPerBand"],
    ["a huge band size", { sectorsPerBand: 0xffffffff }, "corrupt", "sectorsPerBand"],
    ["no size", { sectorsLow: 0, sectors: 0n }, "corrupt", "sectorsLow"],
    ["a size past 2^53", { sectorsLow: 1, sectors: (1n << 60n) + 1n }, "limit", "sectors"],
    ["a node that leads back", { nextNode: 8n }, "corrupt", "nextNode"],
    ["a node past the end", { nextNode: 1n << 62n }, "corrupt", "nextNode"],
    ["a node among the bands before it", { nextNode: BigInt(NODE_BYTES + BAND) }, "corrupt", "nextNode"],
  ])("%s", async (_name, fields, code, word) => {
    const error = await failure(open(build(16, [1, 2, 3], fields)));
    expect(error).toMatchObject({ code, file: "d.sparseimage", at: expect.any(Number), message: expect.stringContaining(word) });
  });

  test("a node that is none", async () => {
    const behind = BigInt(NODE_BYTES + 3 * BAND);
    const bytes = Buffer.concat([build(16, [1, 2, 3], { nextNode: behind }), Buffer.alloc(NODE_BYTES)]);
    await expect(open(bytes)).rejects.toMatchObject({
      code: "corrupt",
      at: Number(behind),
      message: expect.stringContaining("index node"),
    });
  });

  test("sizes that contradict each other are told", async () => {
    const volume = await open(build(16, [1], { sectors: 99n }));
    expect(volume).toMatchObject({ size: 16 * SECTOR, notes: [{ severity: "warning" }] });
  });
});
