import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Volume } from "../../core/model.ts";
import { detectFormat, formatContext, openImage } from "../../formats/registry.ts";
import { checked, contextOf, decodePacked } from "../image-harness.ts";
import { mutate, Random } from "./mutate.ts";
import { gatherSeeds, type Seed } from "./seeds.ts";

// One process of the fuzzer: `run.js SEED SECONDS FOLDER`. Each case prints its number before it begins, so that the parent knows
// which one never ended. A case fails when anything but a DiskError is thrown, when the map breaks its contract, when
// it takes too long or too much memory. Failed files are kept in FOLDER.

const [seedText = "1", seconds = "60", folder = "fuzz"] = process.argv.slice(2);
const MOST_MILLISECONDS = 5000;
/** Seeds that take longer than this when nothing is wrong with them are read once and left out: many cases find more than large ones. */
const QUICK = 150;
const MOST_RSS = 900 << 20;
/** Data read of each image: damage lies in tables and headers. */
const MOST_EXTENTS = 3000;
const MOST_DATA = 8 << 20;

/** Reads as the product would: everything that the map says, up to a limit, and the format's own check. */
async function exercise(main: ByteSource, others: readonly ByteSource[], signal: AbortSignal): Promise<void> {
  const context = { ...contextOf(others), signal, passphrase: "fuzz" };
  const volume: Volume = checked(await openImage(main, context));
  await walk(volume, 0, signal);
  if (volume.size > MOST_DATA) await walk(volume, Math.floor(volume.size / 2), signal);
  if (volume.size > 65_536) await walk(volume, volume.size - 65_536, signal);
  await volume.verify?.(() => {}, signal);
  const format = await detectFormat(main);
  await format.check?.(main, formatContext(context), signal);
}

async function walk(volume: Volume, from: number, signal: AbortSignal): Promise<void> {
  let [at, extents, data] = [from, 0, 0];
  while (at < volume.size && extents < MOST_EXTENTS && data < MOST_DATA) {
    signal.throwIfAborted();
    for (const extent of await volume.extents(at, volume.size - at, signal)) {
      at = extent.start + extent.length;
      if (++extents > MOST_EXTENTS || data > MOST_DATA) return;
      if (extent.kind === "hole" || extent.kind === "zero") continue;
      const file = volume.files[extent.file] as ByteSource;
      const length = extent.kind === "raw" ? Math.min(extent.length, 65_536) : extent.packed;
      const bytes = await file.read(extent.at, length, signal);
      data += extent.kind === "raw" ? length : extent.unpacked;
      if (extent.kind === "packed") await decodePacked(bytes, extent);
    }
  }
}

async function attempt(seed: Seed, bytes: Uint8Array): Promise<string | null> {
  const [main, ...others] = seed.files.map(({ name, bytes: original }, i) => memorySource(name, i === 0 ? bytes : original));
  const abort = AbortSignal.timeout(MOST_MILLISECONDS);
  const started = performance.now();
  try {
    await exercise(main as ByteSource, others, abort);
  } catch (error) {
    // What takes long and can be stopped is a matter of size (a stream that unpacks to gigabytes), not a hang.
    if (!(error instanceof DiskError) && !abort.aborted) return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const took = performance.now() - started;
  if (took > 2 * MOST_MILLISECONDS) return `took ${(took / 1000).toFixed(1)} s`;
  const rss = process.memoryUsage.rss();
  return rss > MOST_RSS ? `the process has grown to ${rss >> 20} MiB` : null;
}

async function main(): Promise<void> {
  const seeds: Seed[] = [];
  const random = new Random(Number(seedText));
  let cases = 0;
  let failures = 0;
  for (const seed of await gatherSeeds()) {
    process.stdout.write(`unchanged ${seed.title}\n`);
    const started = performance.now();
    const fault = await attempt(seed, (seed.files[0] as { bytes: Uint8Array }).bytes);
    if (fault !== null) process.stdout.write(`failed unchanged ${seed.title}: ${fault}\n`);
    if (performance.now() - started < QUICK) seeds.push(seed);
  }
  const end = performance.now() + Number(seconds) * 1000;
  while (performance.now() < end) {
    const seed = random.pick(seeds);
    const { bytes, what } = mutate((seed.files[0] as { bytes: Uint8Array }).bytes, random);
    process.stdout.write(`case ${++cases} ${seed.title}: ${what}\n`);
    const fault = await attempt(seed, bytes);
    if (fault === null) continue;
    failures++;
    mkdirSync(folder, { recursive: true });
    const name = `${seedText}-${cases}-${(seed.files[0] as { name: string }).name}`;
    writeFileSync(join(folder, name), bytes);
    process.stdout.write(`failed ${name} (${seed.title}: ${what}): ${fault.replaceAll(/\s*\n\s*/g, " | ")}\n`);
  }
  process.stdout.write(`done ${cases} cases, ${failures} failures, ${seeds.length} seeds\n`);
}

await main();
