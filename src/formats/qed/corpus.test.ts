import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { generatedFolder, readTable } from "../../testing/judges.ts";
import { raw } from "../raw/index.ts";
import { qed } from "./index.ts";

const rowsOf = (folder: string | null) =>
  folder === null ? [] : readTable(readFileSync(join(folder, "manifest.tsv"), "utf8")).filter(({ format }) => format === "qed");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const small = generatedFolder("small");
if (small !== null)
  describe("images of the small corpus", () => {
    test.each(rowsOf(small).filter(({ raw_sha256 }) => raw_sha256 !== "-"))("$name", async (row) => {
      using file = openFileSource(join(small, row["name"] as string));
      const volume = await qed.open(file, contextOf());
      expect(volume.size).toBe(Number(row["virtual_size"]));
      const companion = row["companions"] as string;
      using below = companion === "-" ? null : openFileSource(join(small, "chain", companion));
      const chain = below === null ? [volume] : [volume, await raw.open(below, contextOf())];
      expect(chain.length).toBe(volume.parent === null ? 1 : 2);
      expect(sha256(await readVolume(chain))).toBe(row["raw_sha256"]);
      expect(await qed.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
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
      using whole = openFileSource(join(malformed, "qed/needcheck.qed"));
      const seed = sha256(await readVolume(await qed.open(whole, contextOf())));
      const head = await file.read(0, Math.min(file.size, 65536));
      expect(qed.probe(head, head)).toBe(true);
      const work = qed.open(file, contextOf()).then(async (volume) => ({ volume, hash: sha256(await readVolume(volume)) }));
      const result = await work.catch((error: unknown) => error);
      const isRight = !(result instanceof Error) && (result as Awaited<typeof work>).hash === seed;
      if (expected.startsWith("decode")) {
        expect(isRight).toBe(true);
        expect((result as Awaited<typeof work>).volume.notes).toMatchObject([{ severity: "warning" }]);
      } else if (expected.startsWith("clear error")) expect(result).toBeInstanceOf(DiskError);
      else expect(isRight || result instanceof DiskError).toBe(true);
    });
  });
