import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Volume } from "../../core/model.ts";
import { rowsOf } from "../../testing/corpus-images.ts";
import { failure } from "../../testing/failure.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { corpusFolder, generatedFolder, readTable } from "../../testing/judges.ts";
import { openImage } from "../registry.ts";
import { dmg } from "./index.ts";

const MIB = 1 << 20;
/** Rows that the tools of the manifest refuse because they do not look into the archive; the disk is that of another row. */
const IN_ARCHIVES = new Map([["etcher-sdk/data.dmg.zip", "node-udif/compression-bz2.dmg"]]);

const corpus = corpusFolder();
if (corpus !== null)
  describe("real images", () => {
    const all = readTable(readFileSync(join(corpus, "manifest.tsv"), "utf8"));
    const rows = all.filter(({ format }) => /^dmg\??$/.test(format ?? ""));
    test.each(rows.map((row) => [row["name"]!, row] as const))("%s", async (name, row) => {
      using file = openFileSource(join(corpus, "files", name));
      const golden = all.find((other) => other["name"] === (IN_ARCHIVES.get(name) ?? name))!;
      if (golden["expect"]!.startsWith("clear error")) {
        await failure(openImage(file, contextOf()));
        return;
      }
      const volume: Volume = await openImage(file, contextOf());
      expect(volume.format).toBe("dmg");
      expect(volume.size).toBe(Number(golden["virtual_size"]));
      expect(volume.notes.length).toBe(golden["qemu"]!.startsWith("WRONG") ? 1 : 0);
      const hash = createHash("sha256");
      for (let at = 0; at < volume.size; at += 8 * MIB) hash.update(await readVolume(volume, at, Math.min(8 * MIB, volume.size - at)));
      expect(hash.digest("hex")).toBe(golden["raw_sha256"]);
      if (row["wrapper"] !== "-") return;
      const report = await dmg.check!(file, contextOf());
      expect(report).toMatchObject({ corruptions: 0 });
    });
  });

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    const rows = rowsOf(malformed, dmg.id);
    test.each(rows.map((row) => [row["name"]!] as const))("%s", async (name) => {
      using file = openFileSource(join(malformed, name));
      const error = await failure(openImage(file, contextOf()));
      expect(error).toMatchObject({ file: file.name, at: expect.any(Number) });
    });
  });
