import { expect, test } from "vitest";
import { noise } from "../testing/disks.ts";
import { contextOf } from "../testing/image-harness.ts";
import { localPool } from "../testing/local-pool.ts";
import { type MemorySink, memorySink } from "../testing/memory-sink.ts";
import { SparseFile } from "../testing/sparse-file.ts";
import { openDisk } from "./chain.ts";
import { planConvert, runConvert } from "./convert.ts";

const never = new AbortController().signal;
const MIB = 1 << 20;

async function convert(source: SparseFile, format: string, options: Readonly<Record<string, string>> = {}): Promise<MemorySink> {
  const pool = localPool(2);
  const { compute } = contextOf();
  const request = { format, options, name: `out.${format}`, salvage: false, verify: true, checkSource: true };
  const sinks: MemorySink[] = [];
  const createSink = async (names: readonly string[]): Promise<MemorySink> => {
    sinks.push(memorySink(names));
    return sinks[0] as MemorySink;
  };
  try {
    const ports = { pool, compute, createSink };
    await runConvert(await planConvert(await openDisk(source, contextOf()), request, ports, never), ports, () => {}, never);
  } finally {
    pool.end();
  }
  return sinks[0] as MemorySink;
}

// The sink compares what it is told to be a copy with the source.
test("what passes through unchanged is named by its place in the source; what is packed is not", async () => {
  const raw = new SparseFile("disk.raw");
  raw.write(65536, noise(12 * MIB, 1));
  raw.truncate(24 * MIB);
  const toQcow2 = await convert(raw, "qcow2");
  expect(toQcow2.copied).toBeGreaterThan(11 * MIB);
  const back = await convert(toQcow2.files[0] as SparseFile, "raw");
  expect(back.copied).toBeGreaterThan(11 * MIB);
  expect((await convert(raw, "qcow2", { compression: "deflate" })).copied).toBe(0);
});
