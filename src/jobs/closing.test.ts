import { blake3 } from "hash-wasm";
import { expect, test } from "vitest";
import { DiskError } from "../core/errors.ts";
import type { BlockPool, ImageSink } from "../core/ports.ts";
import { noise } from "../testing/disks.ts";
import { contextOf } from "../testing/image-harness.ts";
import { localPool } from "../testing/local-pool.ts";
import { memorySink } from "../testing/memory-sink.ts";
import { SparseFile } from "../testing/sparse-file.ts";
import { openDisk } from "./chain.ts";
import { planConvert, runConvert } from "./convert.ts";
import type { Report } from "./progress.ts";

/** Its zeros are several orders for the workers. */
const SIZE = 100 << 20;
const ORDERS = 7;
const turn = () => new Promise((resolve) => setTimeout(resolve));
const request = { format: "qcow2", options: {}, name: "out.qcow2", salvage: false, verify: true, checkSource: true };

interface Changes {
  readonly close: (close: () => ReturnType<ImageSink["close"]>) => ReturnType<ImageSink["close"]>;
  readonly hashZeros?: BlockPool["hashZeros"];
  readonly signal?: AbortSignal;
}

/** A conversion of little data and many zeros, with a sink and a pool that do what a test says. */
async function convert({ close, hashZeros, signal = new AbortController().signal }: Changes) {
  const source = new SparseFile("disk.raw");
  source.write(1 << 20, noise(1 << 20, 1));
  source.truncate(SIZE);
  const { compute } = contextOf();
  const whole = localPool(2);
  const counted = { asked: 0, answered: 0 };
  const hash = hashZeros ?? whole.hashZeros.bind(whole);
  const pool: BlockPool = {
    ...whole,
    hashZeros: async (order, by) => {
      counted.asked++;
      const hashes = await hash(order, by);
      counted.answered++;
      return hashes;
    },
  };
  const sinks: ReturnType<typeof memorySink>[] = [];
  const createSink = async (names: readonly string[]): Promise<ImageSink> => {
    const sink = memorySink(names);
    sinks.push(sink);
    return Object.assign(Object.create(sink), { close: (sizes: readonly number[]) => close(() => sink.close(sizes, signal)) });
  };
  const plan = await planConvert(await openDisk(source, contextOf(), "raw"), request, { pool, compute }, signal);
  const phases: string[] = [];
  const report: Report = ({ phase }) => void (phases.at(-1) !== phase && phases.push(phase));
  const done = runConvert(plan, { pool, compute, createSink }, report, signal);
  return { done, phases, counted, ended: () => sinks[0]?.ended, credits: pool.credits };
}

test("the zeros of the disk are hashed while the output closes", async () => {
  let close = (): void => {};
  const held = new Promise<void>((resolve) => {
    close = resolve;
  });
  const run = await convert({ close: async (closed) => held.then(closed) });
  await expect.poll(() => run.counted.answered).toBe(ORDERS);
  await turn();
  expect([run.ended(), run.phases]).toEqual(["open", ["read", "finish"]]);
  close();
  const disk = Buffer.alloc(SIZE);
  disk.set(noise(1 << 20, 1), 1 << 20);
  expect(Buffer.from((await run.done).blake3 as Uint8Array).toString("hex")).toBe(await blake3(disk));
  expect(run.phases).toEqual(["read", "finish", "verify"]);
});

test("what is left to hash when the output has closed is a phase of its own", async () => {
  const run = await convert({ close: (closed) => closed() });
  await run.done;
  expect(run.phases).toEqual(["read", "finish", "hash", "verify"]);
});

test("an output that cannot be closed ends the job with its error, and no more is hashed", async () => {
  const run = await convert({ close: () => Promise.reject(new DiskError("io", "the disk is full")) });
  await expect(run.done).rejects.toThrow("the disk is full");
  await expect.poll(() => run.counted.answered).toBe(run.credits);
  await turn();
  expect([run.ended(), run.counted.asked, ORDERS > run.credits]).toEqual(["aborted", run.credits, true]);
});

test("a hash that fails ends the job with its error, but not before the output has closed", async () => {
  const steps: string[] = [];
  const closing = (closed: () => ReturnType<ImageSink["close"]>) =>
    new Promise((resolve) => setTimeout(resolve, 20)).then(() => {
      steps.push("closed");
      return closed();
    });
  const run = await convert({ close: closing, hashZeros: () => Promise.reject(new Error("a worker has ended")) });
  await expect(run.done.finally(() => steps.push("ended"))).rejects.toThrow("a worker has ended");
  expect([run.ended(), steps]).toEqual(["aborted", ["closed", "ended"]]);
});

test("a cancel while the output closes ends the job at once", async () => {
  const abort = new AbortController();
  const cancelled = new Promise<never>((_, reject) => abort.signal.addEventListener("abort", () => reject(abort.signal.reason)));
  const never = new Promise<Uint8Array>(() => {});
  const run = await convert({ close: () => cancelled, hashZeros: () => never, signal: abort.signal });
  await expect.poll(() => run.counted.asked).toBe(run.credits);
  abort.abort(new DiskError("io", "stopped by the test"));
  await expect(run.done).rejects.toThrow("stopped by the test");
  expect(run.ended()).toBe("aborted");
});
