import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { plainName } from "../../core/file-name.ts";
import type { ByteSource, Volume } from "../../core/model.ts";
import { openDisk } from "../../jobs/chain.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { corpusFolder, generatedFolder, judge, readTable } from "../../testing/judges.ts";
import { vhd } from "./index.ts";

const MOST_BYTES = 256 << 20;
const BLOCK = 64 << 10;
const folder = mkdtempSync(join(tmpdir(), "vhd-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** SHA-256 over the blocks that are not all zero, each after its offset, and then the size. */
function contentHash(bytes: Uint8Array): string {
  const hash = createHash("sha256");
  const number = (value: number) => {
    const out = Buffer.alloc(8);
    out.writeBigUInt64BE(BigInt(value));
    return out;
  };
  const zero = Buffer.alloc(BLOCK);
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK);
    if (Buffer.compare(block, zero.subarray(0, block.length)) !== 0) hash.update(number(at)).update(block);
  }
  return hash.update(number(bytes.length)).digest("hex");
}

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
    const rows = readTable(readFileSync(join(malformed, "manifest.tsv"), "utf8")).filter(({ format }) => format === "vpc");
    const seed = readFileSync(join(malformed, "seed.nz_sha256"), "utf8").trim().slice(0, 63);
    test.each(rows.map((row) => [row["name"]!, row["expect"]!] as const))("%s: %s", async (name, expectation) => {
      const began = performance.now();
      let outcome: string;
      try {
        const chain = await openChain(join(malformed, name));
        const hash = contentHash(await readVolume(chain));
        outcome = hash.startsWith(seed) ? `seed${chain[0]!.notes.map(({ text }) => `, ${text}`)}` : `OTHER ${chain[0]!.size}`;
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

/** Files that were made by other tools, and the hash of what they hold. */
const corpus = corpusFolder();
const generated = generatedFolder("small");
const rowsOf = (top: string, files: string) =>
  readTable(readFileSync(join(top, "manifest.tsv"), "utf8"))
    .filter(({ format }) => format === "vpc")
    .map((row) => ({ path: join(files, row["name"]!), row }));
const known = [
  ...(corpus === null ? [] : rowsOf(corpus, join(corpus, "files"))),
  ...(generated === null ? [] : rowsOf(generated, generated)),
];
const bzip2 = judge("7zz");

if (known.length > 0)
  describe("images of other tools", () => {
    test.each(
      known.filter(({ path }) => bzip2 !== null || !path.endsWith(".bz2")).map(({ path, row }) => [row["name"]!, path, row] as const),
    )("%s", async (_, path, row) => {
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
      expect(contentHash(await readVolume(chain)).startsWith(row["nz_sha256"]!.slice(0, 63))).toBe(true);
    });
  });
