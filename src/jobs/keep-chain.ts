import { DiskError } from "../core/errors.ts";
import type { Compute } from "../core/ports.ts";
import type { Loss } from "../core/target.ts";
import { formatById } from "../formats/registry.ts";
import { diskAt } from "./chain.ts";
import { type ConvertPlan, type ConvertPorts, type ConvertRequest, type ConvertResult, planConvert, runConvert } from "./convert.ts";
import type { Disk } from "./disk.ts";
import type { Report } from "./progress.ts";
import { lossesOf, readOptions, targetOf } from "./target.ts";

/** A chain is written as a chain: the base whole, every other layer as a delta over the one below it. */
export interface ChainRequest extends Omit<ConvertRequest, "name" | "over"> {
  /** Of the main output files, the base's first; as many as the disk has layers. */
  readonly names: readonly string[];
}

/**
 * Writes layer by layer, from the base on; each is planned when the one below it is written, because it states that one's identity.
 * `onPlan` sees each plan before its work starts and may refuse it by throwing. A failure leaves the layers that were finished before it;
 * what sizes, names and options alone rule out is refused before the first.
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
  const blocker = layerLosses(disk, { names, ...request }, ports.compute).find(({ severity }) => severity === "blocker");
  if (blocker !== undefined) throw new DiskError("limit", `${blocker.what}: ${blocker.why}`);
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

/** Names for the layers of a chain, the base's first: "web-1.qcow2", "web-2.qcow2", and the newest's as it was given. */
export function layerNames({ chain }: Pick<Disk, "chain">, name: string): string[] {
  const dot = name.lastIndexOf(".");
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  return chain.map((_, i) => (i === chain.length - 1 ? name : `${stem}-${i + 1}${extension}`));
}

/** Identities such as a base could have: the real one is known when the base is written. */
const SOME_CID = "01234567";
const SOME_UUID = "01234567-89ab-4cde-8f01-23456789abcd";

/** What the format does not take or carry of the layers above the base, as far as that is known before the base is written. */
export function layerLosses(
  disk: Disk,
  { names, format, options }: Pick<ChainRequest, "names" | "format" | "options">,
  compute: Pick<Compute, "mergeLayers">,
): readonly Loss[] {
  const row = formatById(format);
  const target = targetOf(row);
  const given = readOptions(target, options);
  // A VMDK's layers know it by its content ID; its UUID is another thing.
  const identity = row.id === "vmdk" ? given["cid"] || SOME_CID : given["id"] || SOME_UUID;
  const layers = names.map((name, i) => ({ name, size: diskAt(disk, names.length - 1 - i, compute).size }));
  const losses = layers.slice(1).flatMap((layer, i) => {
    const base = { ...(layers[i] as (typeof layers)[number]), format: row.id, identity, details: {} };
    return lossesOf(target, { ...layer, options: given, identity: new Uint8Array(16).fill(1), base });
  });
  return [...new Map(losses.map((loss) => [`${loss.what} ${loss.why}`, loss])).values()];
}
