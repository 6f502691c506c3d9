/**
 * `convert --preset NAME SRC DST` for a program that has no such option yet: the request comes from the product's own table, the disk is
 * grown by truncate and sgdisk.
 */
import { copyFileSync, truncateSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** As `programs.mjs` runs programs: resolves to an exit code and the output. `facts`: what `applyPreset` is to know of the disk. */
export async function convertByTable({ spindle, judges }, id, source, facts, name, folder) {
  const { module } = await runnerImport(join(root, "src/jobs/preset.ts"), { configFile: false, logLevel: "error" });
  const { request, size, losses } = module.applyPreset(id, facts, name);
  const blocker = losses.find(({ severity }) => severity === "blocker");
  if (blocker !== undefined) return { code: 1, stdout: "", stderr: `${blocker.what}: ${blocker.why}` };
  const grown = join(dirname(folder), `${id}-grown.raw`);
  copyFileSync(source, grown);
  truncateSync(grown, size);
  if (facts.partitions.kind === "GPT" && size !== facts.size) await judges.sgdisk.must(["-e", grown]);
  // qemu-img's name for it.
  const { compression, ...named } = request.options;
  const options = Object.entries(named).flatMap(([option, value]) => ["-o", `${option}=${value}`]);
  const packed = compression === undefined ? [] : ["-c"];
  return spindle(["convert", "-f", "raw", "-O", request.format, ...options, ...packed, grown, name], { cwd: folder });
}
