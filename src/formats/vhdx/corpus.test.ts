import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import type { Volume } from "../../core/model.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { corpusFolder, generatedFolder, judge, readTable } from "../../testing/judges.ts";
import { vhdx } from "./index.ts";

const BLOCK = 64 << 10;
const WINDOW = 8 << 20;
const folder = mkdtempSync(join(tmpdir(), "vhdx-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** SHA-256 over the 64 KiB blocks that are not all zero, each after its offset, and then the size; reads only what is allocated. */
async function contentHash(volume: Volume): Promise<string> {
  const hash = createHash("sha256");
  const number = (value: number) => {
    const out = Buffer.alloc(8);
    out.writeBigUInt64BE(BigInt(value));
    return out;
  };
  const zero = Buffer.alloc(BLOCK);
  for (let at = 0; at < volume.size; ) {
    const [first] = await volume.extents(at, volume.size - at);
    if (first!.kind !== "raw") {
      // To the window in which the data begins.
      const next = Math.floor((first!.start + first!.length) / WINDOW) * WINDOW;
      if (next > at || first!.start + first!.length === volume.size) {
        at = Math.max(next, first!.start + first!.length === volume.size ? volume.size : 0);
        continue;
      }
    }
    const bytes = await readVolume(volume, at, Math.min(WINDOW, volume.size - at));
    for (let i = 0; i < bytes.length; i += BLOCK) {
      const block = bytes.subarray(i, i + BLOCK);
      if (Buffer.compare(block, zero.subarray(0, block.length)) !== 0) hash.update(number(at + i)).update(block);
    }
    at += WINDOW;
  }
  return hash.update(number(volume.size)).digest("hex");
}

/** Malformed images that are none: what they are to show is tested in reading.test.ts. */
const SOUND = new Map([["vhdx/reg-overlap.vhdx", "its generator moves the BAT to where qemu-img had put it already"]]);

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    const rows =
      malformed === null ? [] : readTable(readFileSync(join(malformed, "manifest.tsv"), "utf8")).filter(({ format }) => format === "vhdx");
    const seed = malformed === null ? "" : readFileSync(join(malformed, "seed.nz_sha256"), "utf8").trim().slice(0, 63);
    test.each(rows.map((row) => [row["name"]!, row["expect"]!] as const))("%s: %s", async (name, expectation) => {
      using file = openFileSource(join(malformed!, name));
      const began = performance.now();
      let outcome: string;
      try {
        const volume = await vhdx.open(file, contextOf());
        const hash = await contentHash(volume);
        outcome = `${hash.startsWith(seed) ? "seed" : "OTHER"}; ${volume.notes.map(({ severity, text }) => `${severity}: ${text}`).join("; ")}`;
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

/** Files that were made by other tools, and the hash of what they hold. */
const corpus = corpusFolder();
const generated = generatedFolder("small");
const rowsOf = (top: string, files: string) =>
  readTable(readFileSync(join(top, "manifest.tsv"), "utf8"))
    .filter(({ format }) => format === "vhdx")
    .map((row) => ({ path: join(files, row["name"]!), row }));
const known = [
  ...(corpus === null ? [] : rowsOf(corpus, join(corpus, "files"))),
  ...(generated === null ? [] : rowsOf(generated, generated)),
];
const unpacker = judge("7zz");
const isPacked = (path: string) => /\.(gz|bz2)$/.test(path);

if (known.length > 0)
  describe("images of other tools", () => {
    test.each(known.filter(({ path }) => unpacker !== null || !isPacked(path)).map(({ path, row }) => [row["name"]!, path, row] as const))(
      "%s",
      { timeout: 60_000 },
      async (_, path, row) => {
        if (isPacked(path)) unpacker!.must(["x", "-y", `-o${folder}`, path], { seconds: 60 });
        using file = openFileSource(isPacked(path) ? join(folder, basename(path).replace(/\.(gz|bz2)$/, "")) : path);
        const volume = await vhdx.open(file, contextOf());
        expect(volume.size).toBe(Number(row["virtual_size"]));
        expect(volume.notes).toEqual([]);
        const { findings } = await vhdx.check!(file, contextOf());
        expect(findings.filter(({ severity }) => severity === "corruption")).toEqual([]);
        expect((await contentHash(volume)).slice(0, 63)).toBe(row["nz_sha256"]!.slice(0, 63));
      },
    );
  });
