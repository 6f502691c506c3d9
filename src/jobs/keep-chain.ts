import { DiskError } from "../core/errors.ts";
import { formatById } from "../formats/registry.ts";
import { diskAt } from "./chain.ts";
import { type ConvertPlan, type ConvertPorts, type ConvertRequest, type ConvertResult, planConvert, runConvert } from "./convert.ts";
import type { Disk } from "./disk.ts";
import type { Report } from "./progress.ts";
import { targetOf } from "./target.ts";

/** A chain is written as a chain: the base whole, every other layer as a delta over the one below it. */
export interface ChainRequest extends Omit<ConvertRequest, "name" | "over"> {
  /** Of the main output files, the base's first; as many as the disk has layers. */
  readonly names: readonly string[];
}

/**
 * Writes layer by layer, from the base on; each is planned when the one below it is written, because it states that one's identity.
 * `onPlan` sees each plan before its work starts and may refuse it by throwing. A failure leaves the layers that were finished before it.
 */
export async function convertChain(
  disk: Disk,
  { names, ...request }: ChainRequest,
  ports: ConvertPorts,
  onPlan: (plan: ConvertPlan) => void | Promise<void>,
  report: Report,
  signal: AbortSignal,
): Promise<readonly ConvertResult[]> {
  if (names.length !== disk.chain.length)
    throw new DiskError("usage", `the chain has ${disk.chain.length} layers, and ${names.length} names were given`);
  if (targetOf(formatById(request.format)).overBase === undefined && names.length > 1)
    throw new DiskError("usage", `${request.format} has no layers: a chain cannot be kept in it`);
  const results: ConvertResult[] = [];
  for (const [i, name] of names.entries()) {
    const level = disk.chain.length - 1 - i;
    const base = results.at(-1)?.base ?? null;
    const over = base === null ? undefined : { base, disk: diskAt(disk, level + 1, ports.compute), changes: null };
    const plan = await planConvert(diskAt(disk, level, ports.compute), { ...request, name, over }, ports, signal);
    await onPlan(plan);
    results.push(await runConvert(plan, ports, report, signal));
  }
  return results;
}
