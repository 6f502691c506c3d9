import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { ByteSource, Volume } from "../core/model.ts";
import { createOverlay, type Patch } from "../core/overlay.ts";
import { DISK_FORMATS } from "../formats/registry.ts";
import { contextBeside } from "../testing/beside.ts";
import { noise, same } from "../testing/disks.ts";
import { readVolume, testCompute } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { localPool } from "../testing/local-pool.ts";
import { memorySink } from "../testing/memory-sink.ts";
import type { SparseFile } from "../testing/sparse-file.ts";
import { diskAt, openDisk } from "./chain.ts";
import { createDisk, type Disk } from "./disk.ts";
import { convertChain, layerLosses } from "./keep-chain.ts";

const never = new AbortController().signal;
const MIB = 1 << 20;
const folder = mkdtempSync(join(tmpdir(), "chain-"));
afterAll(() => rmSync(folder, { recursive: true }));

const SIZE = 8 * MIB;
const data = (start: number, length: number, seed: number): Patch => ({ start, length, bytes: noise(length, seed) });
const zeros = (start: number, length: number): Patch => ({ start, length, bytes: null });
/** Newest first: explicit zeros over data, parts of a block, a layer that holds nothing. */
const LAYERS: readonly (readonly Patch[])[] = [
  [data(512, 1024, 1), zeros(3 * MIB, 70_144), data(SIZE - 512, 512, 2)],
  [],
  [zeros(0, 2 * MIB), data(3 * MIB, MIB, 3)],
  [data(0, 3 * MIB, 4), data(5 * MIB + 4096, 4096, 5)],
];

async function keep(
  disk: Disk,
  format: string,
  names: readonly string[],
  options: Readonly<Record<string, string>> = {},
): Promise<SparseFile[]> {
  const files: SparseFile[] = [];
  const ports = {
    pool: localPool(2),
    compute: testCompute(),
    createSink: async (wanted: readonly string[]) => {
      const sink = memorySink(wanted);
      files.push(...sink.files);
      return sink;
    },
  };
  const request = { format, options, salvage: false, verify: true, checkSource: true, names };
  await convertChain(
    disk,
    request,
    ports,
    () => {},
    () => {},
    never,
  );
  return files;
}

const chain: readonly Volume[] = LAYERS.map((patches) => createOverlay(SIZE, patches));
const source = createDisk(chain, testCompute().mergeLayers);
const layered = DISK_FORMATS.flatMap(({ id, target }) => (target?.overBase === undefined ? [] : [id]));

test.each(layered)("%s: every layer is an image, and shows what it showed", async (format) => {
  const names = LAYERS.map((_, i) => `layer-${i}.${format}`);
  const files = await keep(source, format, names);
  for (const [i, name] of names.entries()) {
    const level = LAYERS.length - 1 - i;
    const written = await openDisk(files.find((file) => file.name === name) as ByteSource, contextBeside(files), format);
    expect(written.chain.length).toBe(i + 1);
    expect(same(await readVolume(written.chain), await readVolume(diskAt(source, level, testCompute()).chain))).toBe(true);
  }
});

const qemu = judge("qemu-img");
test.skipIf(qemu === null).each(["qcow2", "qed", "vmdk"])("%s: qemu-img follows the chain", async (format) => {
  const names = LAYERS.map((_, i) => `layer-${i}.${format}`);
  const place = mkdtempSync(join(folder, "q-"));
  for (const file of await keep(source, format, names)) file.save(join(place, file.name));
  writeFileSync(join(place, "expected.raw"), await readVolume(chain));
  expect(qemu!.must(["compare", "-f", format, "-F", "raw", names.at(-1) as string, "expected.raw"], { cwd: place })).toContain("identical");
});

test("a VMDK's layers know it by its content ID, whatever UUID it is given", async () => {
  const names = LAYERS.map((_, i) => `layer-${i}.vmdk`);
  const files = await keep(source, "vmdk", names, { id: "01234567-89ab-4cde-8f01-23456789abce" });
  expect((await openDisk(files.at(-1) as ByteSource, contextBeside(files), "vmdk")).chain.length).toBe(LAYERS.length);
  const losses = layerLosses(
    source,
    { names: names.map((name) => name.replace("vmdk", "vdi")), format: "vdi", options: { static: "on" } },
    testCompute(),
  );
  expect(losses.map(({ severity }) => severity)).toEqual(["blocker"]);
});

test("a format without layers is refused before the first is written", async () => {
  await expect(keep(source, "raw", ["a.raw", "b.raw", "c.raw", "d.raw"])).rejects.toThrow("has no layers");
});
