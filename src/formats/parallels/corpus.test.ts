import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { generatedFolder, readTable } from "../../testing/judges.ts";
import { parallels } from "./index.ts";

const rowsOf = (folder: string | null) =>
  folder === null ? [] : readTable(readFileSync(join(folder, "manifest.tsv"), "utf8")).filter(({ format }) => format === "parallels");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const small = generatedFolder("small");
if (small !== null)
  describe("images of the small corpus", () => {
    test.each(rowsOf(small).filter(({ raw_sha256 }) => raw_sha256 !== "-"))("$name", async (row) => {
      using file = openFileSource(join(small, row["name"] as string));
      const volume = await parallels.open(file, contextOf());
      expect(volume.size).toBe(Number(row["virtual_size"]));
      expect(sha256(await readVolume(volume))).toBe(row["raw_sha256"]);
      expect(await parallels.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    });
  });

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    // Files too short for the magic are nobody's.
    const rows = rowsOf(malformed).filter(({ name }) => !/^trunc\/.*-[014]\./.test(name as string));
    test.each(rows)("$name: $what", async (row) => {
      const expected = row["expect"] as string;
      using file = openFileSource(join(malformed, row["name"] as string));
      using whole = openFileSource(join(malformed, "parallels/inuse.hdd"));
      const seed = sha256(await readVolume(await parallels.open(whole, contextOf())));
      const head = await file.read(0, Math.min(file.size, 65536));
      expect(parallels.probe(head, head)).toBe(true);
      const work = parallels.open(file, contextOf()).then(async (volume) => ({ volume, hash: sha256(await readVolume(volume)) }));
      const result = await work.catch((error: unknown) => error);
      const isRight = !(result instanceof Error) && (result as Awaited<typeof work>).hash === seed;
      if (expected.startsWith("decode")) {
        expect(isRight).toBe(true);
        expect((result as Awaited<typeof work>).volume.notes).toMatchObject([{ severity: "warning" }]);
      } else if (expected.startsWith("clear error")) expect(result).toBeInstanceOf(DiskError);
      else expect(isRight || result instanceof DiskError).toBe(true);
    });
  });
