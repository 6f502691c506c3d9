import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import { type Place, SAMPLES } from "../testing/file-systems.ts";
import { testCompute } from "../testing/image-harness.ts";
import { FREE_MAPS } from "./free-space.ts";

const folder = mkdtempSync(join(tmpdir(), "free-damage-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Null: the damage was found when it was opened. */
async function freeOf(kind: string, image: Uint8Array): Promise<Range[] | null> {
  const read = async (at: number, length: number) => {
    if (at < 0 || at + length > image.length) throw new Error(`read of ${at}+${length} in ${image.length}`);
    return image.slice(at, at + length);
  };
  try {
    const map = await FREE_MAPS[kind]!({ name: "Partition 1", length: image.length, read }, testCompute());
    const ranges: Range[] = [];
    for (let at = 0; at < image.length; ) {
      const answer = await map.free(at, image.length - at);
      if (!(answer.end > at)) throw new Error(`no progress at ${at}`);
      ranges.push(...answer.ranges);
      at = answer.end;
    }
    return ranges;
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    expect(error.message).toMatch(/^Partition 1\b/);
    return null;
  }
}

/** The first range that is not wholly free in truth. */
function inUse(ranges: readonly Range[], free: readonly Range[]): Range | undefined {
  let next = 0;
  return ranges.find(({ start, length }) => {
    while (next < free.length && (free[next] as Range).start + (free[next] as Range).length <= start) next++;
    const outer = free[next];
    return outer === undefined || outer.start > start || outer.start + outer.length < start + length;
  });
}

const DAMAGES = ["byte", "bit", "zeros", "ones", "moved"] as const;
function damage(image: Uint8Array, kind: (typeof DAMAGES)[number], at: number, value: number, places: readonly Place[]): void {
  const byte = image[at] as number;
  const sector = Math.floor(at / 512) * 512;
  if (kind === "byte") image[at] = value;
  else if (kind === "bit") image[at] = byte ^ (1 << (value & 7));
  else if (kind === "zeros") image.fill(0, sector, sector + 512);
  else if (kind === "ones") image.fill(0xff, at, Math.min(at + 1 + (value & 31), sector + 512));
  else {
    const other = (places[value % places.length] as Place).start;
    image.copyWithin(sector, Math.floor(other / 512) * 512, Math.floor(other / 512) * 512 + 512);
  }
}

describe.each(SAMPLES)("$name, damaged", ({ name, tools }) => {
  test.skipIf(tools === null)("no block that is in use is ever taken for a free one", async () => {
    const path = join(folder, "fs.img");
    tools!.make(path, join(folder, "files"));
    const marks = tools!.marks(path);
    const kind = name.split(" ", 1)[0] as string;
    const sound = new Uint8Array(readFileSync(path));
    const free = (await freeOf(kind, sound)) ?? [];
    expect(free.length).toBeGreaterThan(0);
    let noticed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...DAMAGES),
        fc.constantFrom(...marks),
        fc.integer({ min: 0, max: 2 ** 30 - 1 }),
        fc.nat(255),
        async (what, { start, end }, place, value) => {
          const at = start + Math.floor(((end - start) * place) / 2 ** 30);
          const before = sound.slice(Math.floor(at / 512) * 512, Math.floor(at / 512) * 512 + 512);
          damage(sound, what, at, value, marks);
          try {
            const found = await freeOf(kind, sound);
            if (found === null || found.length !== free.length) noticed++;
            else expect(inUse(found, free)).toBeUndefined();
            if (found !== null) expect(inUse(found, free)).toBeUndefined();
          } finally {
            sound.set(before, Math.floor(at / 512) * 512);
          }
        },
      ),
      // First every place where the file system keeps its books is wiped: some of that must be noticed.
      {
        numRuns: marks.length + 16,
        examples: marks.map((mark): [(typeof DAMAGES)[number], Place, number, number] => ["zeros", mark, 0, 0]),
      },
    );
    expect(noticed).toBeGreaterThan(0);
  });
});
