import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DiskError } from "../core/errors.ts";
import type { DiskFormat } from "../core/model.ts";
import { rowsOf } from "./corpus-images.ts";
import { same } from "./disks.ts";
import { openFileSource } from "./file-source.ts";
import { contextOf, readVolume } from "./image-harness.ts";
import { generatedFolder } from "./judges.ts";

/** The malformed images of a format: the bytes of `seed`, the sound image they were made of, or the error that the table asks for. */
export function describeMalformed(format: DiskFormat, seed: string): void {
  const folder = generatedFolder("malformed");
  if (folder === null) return;
  describe("malformed images", () => {
    // Files too short for the magic are nobody's.
    const rows = rowsOf(folder, format.id).filter(({ name }) => !/^trunc\/.*-[014]\./.test(name as string));
    test.each(rows)("$name: $what", async (row) => {
      const expected = row["expect"] as string;
      using file = openFileSource(join(folder, row["name"] as string));
      using whole = openFileSource(join(folder, seed));
      const disk = await readVolume(await format.open(whole, contextOf()));
      const head = await file.read(0, Math.min(file.size, 65536));
      expect(format.probe(head, head)).toBe(true);
      const work = format.open(file, contextOf()).then(async (volume) => ({ volume, isRight: same(await readVolume(volume), disk) }));
      const result = await work.catch((error: unknown) => {
        if (error instanceof DiskError) return error;
        throw error;
      });
      if (expected.startsWith("decode")) expect(result).toMatchObject({ isRight: true, volume: { notes: [{ severity: "warning" }] } });
      else if (expected.startsWith("clear error")) expect(result).toBeInstanceOf(DiskError);
      else if (!(result instanceof DiskError)) expect(result.isRight).toBe(true);
    });
  });
}
