import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { plainName } from "../../core/file-name.ts";
import type { ByteSource, Volume } from "../../core/model.ts";
import { openDisk } from "../../jobs/chain.ts";
import { knownImages, rowsOf, seedHash } from "../../testing/corpus-images.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contentHash } from "../../testing/hashes.ts";
import { contextOf } from "../../testing/image-harness.ts";
import { generatedFolder, judge } from "../../testing/judges.ts";
import { vhd } from "./index.ts";

const MOST_BYTES = 256 << 20;
const folder = mkdtempSync(join(tmpdir(), "vhd-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The image and the layers below it, from files beside it. */
async function openChain(path: string): Promise<readonly Volume[]> {
  const resolve = async ({ name }: { name: string }): Promise<ByteSource | null> => {
    const place = join(dirname(path), plainName(name));
    return plainName(name) === "" || !existsSync(place) ? null : openFileSource(place);
  };
  return (await openDisk(openFileSource(path), { ...contextOf(), resolve }, "vpc")).chain;
}

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    const rows = rowsOf(malformed, vhd.id);
    const seed = seedHash(malformed);
    test.each(rows.map((row) => [row["name"]!, row["expect"]!] as const))("%s: %s", async (name, expectation) => {
      const began = performance.now();
      let outcome: string;
      try {
        const chain = await openChain(join(malformed, name));
        const hash = await contentHash(chain);
        outcome = hash === seed ? `seed${chain[0]!.notes.map(({ text }) => `, ${text}`)}` : `OTHER ${chain[0]!.size}`;
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        expect(error.file).toBe(basename(name));
        expect(error.at).toEqual(expect.any(Number));
        outcome = `error ${error.code}: ${error.message}`;
      }
      if (expectation.startsWith("decode")) expect(outcome).toMatch(/^seed, The (copy of the )?footer/);
      else if (expectation.startsWith("clear error") && !name.includes("/sf-")) expect(outcome).toMatch(/^error (corrupt|unsupported)/);
      expect(outcome).not.toMatch(/^OTHER/);
      if (expectation.includes("parent needed")) expect(outcome).toContain("parent");
      expect(performance.now() - began).toBeLessThan(5000);
    });
  });

const known = knownImages(vhd.id);
const bzip2 = judge("7zz");

if (known.length > 0)
  describe("images of other tools", () => {
    test.each(known.filter(({ path }) => bzip2 !== null || !path.endsWith(".bz2")))("$name", async ({ path, row }) => {
      let image = path;
      if (path.endsWith(".bz2")) {
        image = join(folder, basename(path, ".bz2"));
        writeFileSync(image, bzip2!.bytes(["x", "-so", path]));
      }
      const chain = await openChain(image).catch((error: unknown) => {
        if (error instanceof DiskError && row["expect"]!.startsWith("clear error")) return error;
        throw error;
      });
      if (chain instanceof DiskError) {
        expect(chain).toMatchObject({ code: "missing-file", needs: ".\\fat-parent.vhd" });
        return;
      }
      const [top] = chain as [Volume];
      expect(top.size).toBe(Number(row["virtual_size"]));
      using file = openFileSource(image);
      const { findings } = await vhd.check!(file, contextOf());
      expect(findings.filter(({ text }) => !text.includes("checksum"))).toEqual([]);
      expect(findings.length > 0).toBe(
        row["expect"]!.includes("Tool: decode with a warning") || row["note"]?.includes("checksum") === true,
      );
      if (row["nz_sha256"] === "-" || top.size > MOST_BYTES) return;
      expect(await contentHash(chain)).toBe(row["nz_sha256"]);
    });
  });
