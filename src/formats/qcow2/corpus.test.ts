import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import type { OpenContext } from "../../core/model.ts";
import { scanTable } from "../../core/table-runs.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { readVolume } from "../../testing/image-harness.ts";
import { generatedFolder, judge, readTable } from "../../testing/judges.ts";
import { qcow2 } from "./index.ts";

const small = generatedFolder("small");
const malformed = generatedFolder("malformed");
const qemuImg = judge("qemu-img");
const qcow2Rows = (folder: string | null) =>
  folder === null ? [] : readTable(readFileSync(join(folder, "manifest.tsv"), "utf8")).filter(({ format }) => format === "qcow2");
/** Opens data files that lie beside the image, as a user would pick them. */
const contextFor = (path: string): OpenContext => ({
  scanTable,
  resolve: async ({ name }) => {
    const beside = join(dirname(path), basename(name));
    return name === basename(name) && existsSync(beside) ? openFileSource(beside) : null;
  },
});

describe.skipIf(small === null)("images of the small corpus", () => {
  test.each(qcow2Rows(small).filter(({ raw_sha256, secret }) => raw_sha256 !== "-" && secret === "-"))("$name", async (row) => {
    const [name, snapshot] = (row["name"] as string).split("#") as [string, string?];
    const path = join(small as string, name);
    const context = { ...contextFor(path), snapshot };
    using file = openFileSource(path);
    const volume = await qcow2.open(file, context);
    expect(volume.size).toBe(Number(row["virtual_size"]));
    if (volume.parent === null && volume.size <= 1 << 28)
      expect(
        createHash("sha256")
          .update(await readVolume(volume))
          .digest("hex"),
      ).toBe(row["raw_sha256"]);
    const report = await (qcow2.check as NonNullable<typeof qcow2.check>)(file, context);
    expect(report.findings.filter(({ severity }) => severity !== "warning")).toEqual([]);
    expect(comparable(report)).toEqual(qemuCheck(path));
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

describe.skipIf(malformed === null)("malformed images", () => {
  const seed = malformed === null ? "" : readFileSync(join(malformed, "seed.nz_sha256"), "utf8").trim();
  const rows = qcow2Rows(malformed)
    .filter(({ name }) => !/loop|back-self/.test(name as string))
    .filter(({ name }) => !/-[014]\.qcow2$/.test(name as string) || !name?.startsWith("trunc/"));
  test.each(rows)("$name: $what", async (row) => {
    const path = join(malformed as string, row["name"] as string);
    using file = openFileSource(path);
    const outcome = await readOutcome(path, file);
    const expected = row["expect"] as string;
    if (expected.startsWith("decode: the damage")) expect([outcome.result, outcome.warned]).toEqual(["seed", true]);
    else if (expected.startsWith("clear error")) expect(["error", "parent"]).toContain(outcome.result);
    appendFileSync("/tmp/q-rows.tsv", "\n" + `${row["name"]}\t${expected.slice(0, 30)}\t${outcome.result}\t${outcome.text}`);
    const qemu = qemuCheck(path);
    if (qemu !== null && ((qemu["corruptions"] as number) > 0 || (qemu["leaks"] as number) > 0)) {
      let ours: string;
      try {
        const report = await (qcow2.check as NonNullable<typeof qcow2.check>)(file, contextFor(path));
        ours = `${report.corruptions} ${report.leaks}`;
      } catch (error) {
        ours = String(error);
      }
      appendFileSync("/tmp/q-rows.tsv", "\n" + `CHECK\t${row["name"]}\tqemu ${qemu["corruptions"]} ${qemu["leaks"]}\tours ${ours}`);
    }
  });

  async function readOutcome(path: string, file: ReturnType<typeof openFileSource>) {
    let warned = false;
    try {
      const volume = await qcow2.open(file, contextFor(path));
      warned = volume.notes.some(({ severity }) => severity === "warning");
      if (volume.parent !== null) return { result: "parent", text: JSON.stringify(volume.parent.name).slice(0, 60), warned };
      const bytes = await readVolume(volume);
      const hash = nonZeroHash(bytes);
      return { result: hash === seed ? "seed" : "DIFFERENT", text: volume.notes.map(({ text }) => text).join(" "), warned };
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      return { result: "error", text: error.message, warned };
    }
  }
});

function nonZeroHash(bytes: Uint8Array): string {
  const hash = createHash("sha256");
  const number = new DataView(new ArrayBuffer(8));
  for (let at = 0; at < bytes.length; at += 65536) {
    const block = bytes.subarray(at, at + 65536);
    if (block.every((byte) => byte === 0)) continue;
    number.setBigUint64(0, BigInt(at));
    hash.update(new Uint8Array(number.buffer)).update(block);
  }
  number.setBigUint64(0, BigInt(bytes.length));
  return hash.update(new Uint8Array(number.buffer)).digest("hex");
}
