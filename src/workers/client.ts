import type { Engine, Progress } from "./engine-api.ts";
import { proxy, wrap } from "./rpc.ts";

/** Starts the engine worker. Its remote must be kept for the life of the page (a collected proxy closes its port). */
export function startEngine(): Engine {
  const worker = new Worker(new URL("./engine.worker.ts", import.meta.url), { type: "module", name: "engine" });
  const remote = wrap<Engine>(worker) as unknown as Engine;
  const callback = (report: (progress: Progress) => void) => proxy(report);
  return {
    formats: () => remote.formats(),
    open: (file, companions, options) => remote.open(file, companions, options),
    close: (image) => remote.close(image),
    cells: (image, count) => remote.cells(image, count),
    extentAt: (image, at) => remote.extentAt(image, at),
    plan: (request) => remote.plan(request),
    run: (job, request, output, report) => remote.run(job, request, output, callback(report)),
    cancel: (job) => remote.cancel(job),
    output: (job) => remote.output(job),
    discard: (job) => remote.discard(job),
    sha256: (job, file, report) => remote.sha256(job, file, callback(report)),
    blake3: (job, image, report) => remote.blake3(job, image, callback(report)),
    sample: () => remote.sample(),
    tidy: () => remote.tidy(),
    tryNetwork: (url) => remote.tryNetwork(url),
  };
}
