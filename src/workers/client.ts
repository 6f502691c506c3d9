import { DiskError } from "../core/errors.ts";
import type { Engine, Progress } from "./engine-api.ts";
import { proxy, wrap } from "./rpc.ts";

/** Starts the engine worker. Its remote must be kept for the life of the page (a collected proxy closes its port). */
export function startEngine(): Engine {
  const worker = new Worker(new URL("./entry.worker.ts", import.meta.url), { type: "module", name: "engine" });
  const remote = wrap<Engine>(worker) as unknown as Engine;
  /** Never resolves: a call to an engine that has died must not wait for ever. */
  const death = new Promise<never>((_, reject) => {
    worker.addEventListener("error", (event) => reject(new DiskError("io", `the engine stopped: ${event.message}; reload the page`)));
  });
  death.catch(() => {}); // told to whoever calls
  const alive = <T>(call: Promise<T>): Promise<T> => Promise.race([call, death]);
  const callback = (report: (progress: Progress) => void) => proxy(report);
  return {
    formats: () => alive(remote.formats()),
    open: (job, file, companions, options, report) => alive(remote.open(job, file, companions, options, callback(report))),
    presets: () => alive(remote.presets()),
    find: (job, files) => alive(remote.find(job, files)),
    forget: (search) => alive(remote.forget(search)),
    openLayer: (job, search, layer, options, report) => alive(remote.openLayer(job, search, layer, options, callback(report))),
    sizeLimits: (image) => alive(remote.sizeLimits(image)),
    differences: (job, image, base, report) => alive(remote.differences(job, image, base, callback(report))),
    close: (image) => alive(remote.close(image)),
    cells: (image, count) => alive(remote.cells(image, count)),
    extentAt: (image, at) => alive(remote.extentAt(image, at)),
    extension: (format, options) => alive(remote.extension(format, options)),
    plan: (request) => alive(remote.plan(request)),
    run: (job, request, output, report) => alive(remote.run(job, request, output, callback(report))),
    cancel: (job) => alive(remote.cancel(job)),
    output: (job) => alive(remote.output(job)),
    discard: (job) => alive(remote.discard(job)),
    sha256: (job, file, report) => alive(remote.sha256(job, file, callback(report))),
    blake3: (job, request, report) => alive(remote.blake3(job, request, callback(report))),
    check: (job, image, report) => alive(remote.check(job, image, callback(report))),
    compare: (job, first, second, report) => alive(remote.compare(job, first, second, callback(report))),
    rehearse: (job, request, report) => alive(remote.rehearse(job, request, callback(report))),
    repairOptions: (image) => alive(remote.repairOptions(image)),
    sample: () => alive(remote.sample()),
    tidy: () => alive(remote.tidy()),
    tryNetwork: (url) => alive(remote.tryNetwork(url)),
  };
}
