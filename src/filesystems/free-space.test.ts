import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Range } from "../core/model.ts";
import { SAMPLES } from "../testing/file-systems.ts";
import { testCompute } from "../testing/image-harness.ts";
import { FREE_MAPS, type FreeMap, type Part } from "./free-space.ts";
import { identify } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "free-space-"));
afterAll(() => rmSync(folder, { recursive: true }));

const partOf = (image: Uint8Array): Part => ({
  name: "Partition 1",
  length: image.length,
  async read(at, length) {
    if (at < 0 || length < 0 || at + length > image.length) throw new Error(`read of ${at}+${length} in ${image.length}`);
    return image.slice(at, at + length);
  },
});

async function openMap(image: Uint8Array): Promise<FreeMap> {
  const part = partOf(image);
  const kind = (await identify(part.read, 0, image.length))?.kind ?? "none";
  return FREE_MAPS[kind]!(part, testCompute());
}

/** All of it, in windows of `step` bytes, with every answer held to its contract. */
async function allFree(map: FreeMap, size: number, step = size) {
  const ranges: Range[] = [];
  let doubtful = 0;
  for (let window = 0; window < size; window += step) {
    const stop = Math.min(window + step, size);
    for (let at = window; at < stop; ) {
      const answer = await map.free(at, stop - at);
      if (answer.end <= at || answer.end > stop) throw new Error(`an answer for ${at} to ${stop} ends at ${answer.end}`);
      let last = at - 1;
      for (const { start, length } of answer.ranges) {
        if (start <= last || length <= 0 || start + length > answer.end) throw new Error(`${start}+${length} in ${at} to ${answer.end}`);
        last = start + length;
        const before = ranges[ranges.length - 1];
        if (before !== undefined && before.start + before.length === start)
          ranges[ranges.length - 1] = { start: before.start, length: before.length + length };
        else ranges.push({ start, length });
      }
      doubtful += answer.doubtful;
      at = answer.end;
    }
  }
  return { ranges, doubtful };
}
const sum = (ranges: readonly Range[]): number => ranges.reduce((total, { length }) => total + length, 0);

describe.each(SAMPLES)("$name", ({ name, tools }) => {
  test.skipIf(tools === null)("free space is what its own programs say, and nothing that is in use", async () => {
    const path = join(folder, `${name}.img`);
    tools!.make(path, join(folder, "files"));
    tools!.requireSound(path);
    const image = new Uint8Array(readFileSync(path));
    const map = await openMap(image);
    const { ranges, doubtful } = await allFree(map, image.length);
    expect(doubtful).toBe(0);
    expect(sum(ranges)).toBe(tools!.freeBytes(path));
    if (tools!.freeRanges !== undefined) expect(ranges).toEqual(tools!.freeRanges(path));
    for (const { start, end } of tools!.used?.(path) ?? [])
      expect(ranges.filter((range) => range.start < end && start < range.start + range.length)).toEqual([]);
    // Stale data lies there: there is something to drop.
    expect(ranges.some(({ start, length }) => image.subarray(start, start + length).some((byte) => byte !== 0))).toBe(true);
    for (const step of [(1 << 20) + 512, 77_824]) expect((await allFree(map, image.length, step)).ranges).toEqual(ranges);
    rmSync(path);
  });
});
