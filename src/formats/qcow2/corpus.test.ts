import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, DiskFormat, FormatContext } from "../../core/model.ts";
import { rowsOf, seedHash } from "../../testing/corpus-images.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contentHash, sha256 } from "../../testing/hashes.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { generatedFolder, judge } from "../../testing/judges.ts";
import { qcow2 } from "./index.ts";

const small = generatedFolder("small");
const malformed = generatedFolder("malformed");
const check = qcow2.check as NonNullable<DiskFormat["check"]>;
const qemuImg = judge("qemu-img");
/** Opens data files that lie beside the image, as a user would pick them. */
const contextFor = (path: string): FormatContext => ({
  ...contextOf(),
  resolve: async ({ name }) => {
    const beside = join(dirname(path), basename(name));
    return name === basename(name) && existsSync(beside) ? openFileSource(beside) : null;
  },
});

if (small !== null)
  describe("images of the small corpus", () => {
    const rows = rowsOf(small, qcow2.id).filter(({ raw_sha256, secret }) => raw_sha256 !== "-" && secret === "-");
    const placeOf = (row: (typeof rows)[number]) => {
      const [name, snapshot] = (row["name"] as string).split("#") as [string, string?];
      const path = join(small, name);
      return { path, context: { ...contextFor(path), snapshot } };
    };
    test.each(rows)("$name", async (row) => {
      const { path, context } = placeOf(row);
      using file = openFileSource(path);
      const volume = await qcow2.open(file, context);
      expect(volume.size).toBe(Number(row["virtual_size"]));
      if (volume.parent === null && volume.size <= 1 << 28) expect(sha256(await readVolume(volume))).toBe(row["raw_sha256"]);
      const report = await check(file, context);
      expect(report.findings.filter(({ severity }) => severity !== "warning")).toEqual([]);
    });
    test.skipIf(qemuImg === null).each(rows)("$name: qemu-img counts the same", async (row) => {
      const { path, context } = placeOf(row);
      using file = openFileSource(path);
      expect(comparable(await check(file, context))).toEqual(qemuCheck(path));
    });
  });

type Counts = Readonly<Record<string, number>>;
const comparable = (report: object): Counts => {
  const { findings: _, ...counts } = report as { findings: unknown } & Counts;
  return counts;
};

/** What qemu-img counts, with our names. */
function qemuCheck(path: string): Counts | null {
  const verdict = qemuImg?.run(["check", "-f", "qcow2", "--output=json", basename(path)], { cwd: dirname(path) });
  if (verdict === undefined || !verdict.stdout.trim().startsWith("{")) return null;
  const json = JSON.parse(verdict.stdout) as Counts;
  const of = (name: string) => json[name] ?? 0;
  return {
    corruptions: of("corruptions"),
    leaks: of("leaks"),
    allocatedClusters: of("allocated-clusters"),
    totalClusters: of("total-clusters"),
    compressedClusters: of("compressed-clusters"),
    fragmentedClusters: of("fragmented-clusters"),
    imageEndOffset: of("image-end-offset"),
  };
}

if (malformed !== null)
  describe("malformed images", () => {
    const seed = seedHash(malformed);
    // Files too short for the magic are nobody's; noise inside stored data cannot be known.
    const rows = rowsOf(malformed, qcow2.id).filter(({ name }) => !/^trunc\/.*-[01]\.|noise-/.test(name as string));
    test.each(rows)("$name: $what", async (row) => {
      const [name, expected] = [row["name"] as string, row["expect"] as string];
      const path = join(malformed as string, name);
      using file = openFileSource(path);
      const { result, warned } = await readOutcome(path, file);
      if (result === "parent") expect(name).toMatch(/back-|loop-|deep\//);
      else if (expected.startsWith("decode: the damage")) expect([result, warned]).toEqual(["seed", true]);
      else if (name.endsWith("l1e-zero.qcow2")) expect(result).toBe("other");
      else if (expected.startsWith("decode")) expect(result).toBe("seed");
      else if (expected.startsWith("clear error")) expect(result).toBe("error");
      else expect(["error", "seed"]).toContain(result);
      // Chains that loop exhaust qemu-img.
      const qemu = /loop-|back-self/.test(name) ? null : qemuCheck(path);
      if (((qemu?.["corruptions"] as number | undefined) ?? 0) > 0) expect(await corruptionsOf(path, file)).toBeGreaterThan(0);
    });

    /** A file that cannot be checked at all counts as one. */
    async function corruptionsOf(path: string, file: ByteSource): Promise<number> {
      try {
        return (await check(file, contextFor(path))).corruptions;
      } catch (error) {
        if (error instanceof DiskError && error.code === "corrupt") return 1;
        throw error;
      }
    }

    async function readOutcome(path: string, file: ByteSource) {
      let warned = false;
      try {
        const volume = await qcow2.open(file, contextFor(path));
        warned = volume.notes.some(({ severity }) => severity === "warning");
        if (volume.parent !== null) return { result: "parent", warned };
        return { result: (await contentHash([volume])) === seed ? "seed" : "other", warned };
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        return { result: "error", warned };
      }
    }
  });
