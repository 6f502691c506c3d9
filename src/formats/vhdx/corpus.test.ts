import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { knownImages, rowsOf, seedHash } from "../../testing/corpus-images.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contentHash } from "../../testing/hashes.ts";
import { contextOf } from "../../testing/image-harness.ts";
import { generatedFolder, judge } from "../../testing/judges.ts";
import { vhdx } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "vhdx-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Malformed images that are none: what they are to show is tested in reading.test.ts. */
const SOUND = new Map([["vhdx/reg-overlap.vhdx", "its generator moves the BAT to where qemu-img had put it already"]]);

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    const rows = rowsOf(malformed, vhdx.id);
    const seed = seedHash(malformed);
    test.each(rows.map((row) => [row["name"]!, row["expect"]!] as const))("%s: %s", async (name, expectation) => {
      using file = openFileSource(join(malformed!, name));
      const began = performance.now();
      let outcome: string;
      try {
        const volume = await vhdx.open(file, contextOf());
        const hash = await contentHash([volume]);
        outcome = `${hash === seed ? "seed" : "OTHER"}; ${volume.notes.map(({ severity, text }) => `${severity}: ${text}`).join("; ")}`;
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        expect(error.file).toBe(basename(name));
        expect(error.at).toEqual(expect.any(Number));
        outcome = `error ${error.code}: ${error.message}`;
      }
      if (SOUND.has(name)) expect(outcome).toBe("seed; ");
      else if (expectation.startsWith("decode")) expect(outcome).toMatch(/^seed; warning: .*header 1/);
      else if (expectation.startsWith("clear error")) expect(outcome).toMatch(/^error (corrupt|unsupported)/);
      expect(outcome).not.toMatch(/^OTHER/);
      if (expectation.includes("parent needed")) expect(outcome).toContain("parent");
      expect(performance.now() - began).toBeLessThan(5000);
    });
  });

const known = knownImages(vhdx.id);
const unpacker = judge("7zz");
const isPacked = (path: string) => /\.(gz|bz2)$/.test(path);

if (known.length > 0)
  describe("images of other tools", () => {
    test.each(known.filter(({ path }) => unpacker !== null || !isPacked(path)))("$name", { timeout: 60_000 }, async ({ path, row }) => {
      if (isPacked(path)) unpacker!.must(["x", "-y", `-o${folder}`, path], { seconds: 60 });
      using file = openFileSource(isPacked(path) ? join(folder, basename(path).replace(/\.(gz|bz2)$/, "")) : path);
      const volume = await vhdx.open(file, contextOf());
      expect(volume.size).toBe(Number(row["virtual_size"]));
      expect(volume.notes).toEqual([]);
      const { findings } = await vhdx.check!(file, contextOf());
      expect(findings.filter(({ severity }) => severity === "corruption")).toEqual([]);
      expect(await contentHash([volume])).toBe(row["nz_sha256"]);
    });
  });
