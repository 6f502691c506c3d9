import { vmdk } from "../formats/vmdk/index.ts";
import { noise, type TestDisk } from "./disks.ts";
import { specFor, testCompute, writeImage } from "./image-harness.ts";

const MIB = 1 << 20;
const GRAIN = 64 << 10;
const target = vmdk.target!;

/** Three grains in two tables, and an odd end. */
export const SMALL: TestDisk = {
  size: 33 * MIB + 512,
  pieces: [
    { start: GRAIN, bytes: noise(2 * GRAIN, 1) },
    { start: 33 * MIB, bytes: noise(512, 2) },
  ],
};

export async function bytesOf(subformat: string, disk = SMALL, file = 0): Promise<Uint8Array<ArrayBuffer>> {
  const image = await writeImage(target.create(specFor(target, disk.size, "d.vmdk", { subformat }), testCompute()), disk);
  return image.files[file]!.read(0, image.sizes[file]!);
}
export const sparse = await bytesOf("monolithicSparse");
export const stream = await bytesOf("streamOptimized");
