import type { BlockPool } from "../core/ports.ts";
import { type ConvertRequest, planConvert, runConvert } from "../jobs/convert.ts";
import type { Disk } from "../jobs/disk.ts";
import { testCompute } from "./image-harness.ts";
import { localPool } from "./local-pool.ts";
import { memorySink } from "./memory-sink.ts";
import type { SparseFile } from "./sparse-file.ts";

const never = new AbortController().signal;

/** A conversion as the product does it, verified, into files in memory. Throws where the product would. */
export async function converted(
  disk: Disk,
  request: Pick<ConvertRequest, "format" | "name"> & Partial<ConvertRequest>,
  pool: BlockPool = localPool(2),
): Promise<readonly SparseFile[]> {
  const compute = testCompute();
  const whole = { options: {}, salvage: false, verify: true, checkSource: true, ...request };
  let files: readonly SparseFile[] = [];
  const createSink = async (names: readonly string[]) => {
    const sink = memorySink(names);
    files = sink.files;
    return sink;
  };
  const plan = await planConvert(disk, whole, { pool, compute }, never);
  const result = await runConvert(plan, { pool, compute, createSink }, () => {}, never);
  if (result.written > plan.outputBytes) throw new Error(`${result.written} bytes written, ${plan.outputBytes} announced`);
  return files;
}
