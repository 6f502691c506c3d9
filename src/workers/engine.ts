import { createPool, type WorkerPool } from "../blocks/pool.ts";
import { DiskError } from "../core/errors.ts";
import { hexText } from "../core/hex.ts";
import type { ByteSource, Note, OpenContext } from "../core/model.ts";
import { DISK_FORMATS, formatById } from "../formats/registry.ts";
import { openChain, openDisk } from "../jobs/chain.ts";
import { checkImage } from "../jobs/check.ts";
import { compareDisks } from "../jobs/compare.ts";
import { type ConvertResult, rehearse, runConvert } from "../jobs/convert.ts";
import { type Over, overBase } from "../jobs/delta.ts";
import type { Disk } from "../jobs/disk.ts";
import { hashDisk } from "../jobs/hash.ts";
import { convertChain, layerNames } from "../jobs/keep-chain.ts";
import { repairOptions } from "../jobs/repair.ts";
import { safeSize } from "../jobs/resize.ts";
import { salvageReport } from "../jobs/salvage-report.ts";
import { createSample } from "../jobs/sample.ts";
import { survey } from "../jobs/survey.ts";
import { readOptions, targetOf } from "../jobs/target.ts";
import { createCompute } from "../kernels/compute.ts";
import { createHasher } from "../kernels/disk-hash.ts";
import { createKernels } from "../kernels/index.ts";
import { fileSource } from "../platform/browser/file-source.ts";
import type { ConvertRequest, Engine, ImageCard, ResultCard } from "./engine-api.ts";
import { type Found, findAmong } from "./found-chains.ts";
import { cardOf, resolver } from "./image-card.ts";
import { createMeter } from "./meter.ts";
import { tryNetwork } from "./network-attempt.ts";
import { type JobOutput, openOutput, tidyOutputs } from "./output-place.ts";
import { importCard, type Prepared, prepare, prepareLayers, presetCards, requireOneKind, type Subject, shapedFor } from "./planning.ts";
import { qemuCommand } from "./qemu-command.ts";
import { startWorkerPorts } from "./worker-ports.ts";

/** Workers that have had nothing to do for so long are ended. */
const IDLE = 30_000;

interface OpenedImage {
  readonly disk: Disk;
  readonly file: ByteSource;
  readonly context: OpenContext;
  /** Format id that the user chose over what was recognised. */
  readonly format: string | undefined;
  readonly fileBytes: number;
  /** By the image of the base: where the two differ. */
  readonly over: Map<number, Over>;
}
interface Job {
  readonly abort: AbortController;
  files: readonly File[];
  /** Null for work that writes nothing. */
  output: JobOutput | null;
}

export function createEngine(): Engine {
  const kernels = createKernels();
  const compute = createCompute(kernels);
  const hasher = createHasher(kernels);
  const images = new Map<number, OpenedImage>();
  const searches = new Map<number, Found["search"]>();
  const jobs = new Map<number, Job>();
  const session = crypto.randomUUID();
  let lastImage = 0;
  let lastSearch = 0;
  let pool: WorkerPool | null = null;
  let users = 0;
  let idle: ReturnType<typeof setTimeout> | undefined;

  /** Lends the pool to one piece of work; it is started when first needed and ended when long unused. */
  const withPool = async <T>(work: (pool: WorkerPool) => Promise<T>): Promise<T> => {
    clearTimeout(idle);
    if (pool?.isDead === true) {
      pool.end();
      pool = null;
    }
    pool ??= createPool(startWorkerPorts(), hasher);
    users++;
    try {
      return await work(pool);
    } finally {
      if (--users === 0)
        idle = setTimeout(() => {
          pool?.end();
          pool = null;
        }, IDLE);
    }
  };
  const opened = (image: number): OpenedImage => {
    const found = images.get(image);
    if (found === undefined) throw new DiskError("usage", "this image is no longer open");
    return found;
  };
  const finished = (id: number): Job => {
    const found = jobs.get(id);
    if (found === undefined) throw new DiskError("usage", "this job is no longer known");
    return found;
  };
  const never = new AbortController().signal;
  const subjectOf = ({ image, base }: ConvertRequest): Subject => {
    const { disk, file, over } = opened(image);
    if (base === undefined) return { disk, name: file.name, over: undefined };
    const known = over.get(base);
    if (known === undefined) throw new DiskError("usage", "the two images were not compared yet");
    return { disk, name: file.name, over: known };
  };
  const plan = (request: ConvertRequest, signal = never): Promise<Prepared> =>
    withPool((p) => prepare(subjectOf(request), request, p, compute, signal));
  const startJob = async (id: number): Promise<Job> => {
    const job: Job = { abort: new AbortController(), files: [], output: null };
    jobs.set(id, job);
    return job;
  };

  /** A job that leaves no output behind. */
  const withJob = async <T>(id: number, work: (pool: WorkerPool, signal: AbortSignal) => Promise<T>): Promise<T> => {
    const job = await startJob(id);
    try {
      return await withPool((p) => work(p, job.abort.signal));
    } finally {
      jobs.delete(id);
    }
  };

  /** Keeps an opened disk under a number of its own. */
  const keep = async (
    image: Omit<OpenedImage, "fileBytes" | "over">,
    name: string,
    p: WorkerPool,
    signal: AbortSignal,
  ): Promise<ImageCard> => {
    const { disk, file } = image;
    const id = ++lastImage;
    const files = [...new Map(disk.chain.flatMap((volume) => volume.files).map((used) => [used.name, used.size]))];
    const isWrapped = disk.chain[0]?.wrapping !== undefined;
    const fileBytes = isWrapped ? file.size : files.reduce((sum, [, size]) => sum + size, 0);
    const card = await cardOf(disk, id, name, fileBytes, p);
    signal.throwIfAborted();
    images.set(id, { ...image, fileBytes, over: new Map() });
    return { ...card, files: [...new Set(isWrapped ? [name] : [name, ...files.map(([used]) => used)])] };
  };

  return {
    async formats() {
      return DISK_FORMATS.map(({ id, label, extensions, wraps = false, target }) => ({
        id,
        label,
        extensions,
        wraps,
        options: target?.options ?? null,
        layers: target?.overBase !== undefined,
      }));
    },
    presets: async () => presetCards(),
    async find(id, files) {
      return withJob(id, async (_, signal) => {
        const { search, card } = await findAmong(files, { compute, signal });
        searches.set(++lastSearch, search);
        return { ...card, search: lastSearch };
      });
    },
    async forget(search) {
      searches.delete(search);
    },

    async open(id, file, companions, options, report) {
      const remarks: Note[] = [];
      const { format, ...opening } = options;
      const meter = createMeter(report);
      const onUnpack = (done: number, total: number): void => meter({ phase: "source", done, total, position: 0 });
      const source = fileSource(file);
      return withJob(id, async (p, signal) => {
        const candidates = async () => companions.map((one) => fileSource(one));
        const context = { ...opening, resolve: resolver([file, ...companions], remarks), candidates, compute, onUnpack, signal };
        const disk = await openDisk(source, context, format);
        const card = await keep({ disk, file: source, context, format }, file.name, p, signal);
        return { ...card, notes: [...remarks, ...card.notes] };
      });
    },
    async openLayer(id, number, layer, options, report) {
      const search = searches.get(number);
      const member = search?.members[layer];
      if (search === undefined || member === undefined) throw new DiskError("usage", "these files are no longer known: open them again");
      const meter = createMeter(report);
      const onUnpack = (done: number, total: number): void => meter({ phase: "source", done, total, position: 0 });
      return withJob(id, async (p, signal) => {
        const context = { ...options, compute, onUnpack, signal };
        const disk = await openChain(search, layer, context);
        const { source, resolve, format } = member;
        return keep({ disk, file: source, context: { ...context, resolve }, format }, source.name, p, signal);
      });
    },
    async close(image) {
      images.delete(image);
      for (const { over } of images.values()) over.delete(image);
    },
    async sizeLimits(image) {
      const { disk } = opened(image);
      return withPool((p) => safeSize(disk, p, never));
    },
    async differences(id, image, base, report) {
      const { disk, over } = opened(image);
      const below = opened(base);
      if (over.has(base)) return;
      const work = (p: WorkerPool, signal: AbortSignal) =>
        overBase(disk, below.disk, below.file.name, { pool: p, compute }, createMeter(report), signal);
      over.set(base, await withJob(id, work));
    },
    async cells(image, count) {
      const { disk } = opened(image);
      const { cells } = await survey(disk, { cells: count, salvage: true, owners: disk.chain.length > 1 }, never);
      return { ...cells, owners: cells.owners ?? [] };
    },
    async extentAt(image, at) {
      const { disk } = opened(image);
      const start = Math.min(Math.max(0, at), disk.size - 1);
      const [run] = await disk.map(start, disk.size - start);
      if (run === undefined) throw new Error("a map answers with at least one run");
      const { extent, volume } = run;
      if (extent.kind === "zero")
        return {
          start,
          length: extent.length,
          kind: extent.allocated ? "zero" : "hole",
          owner: extent.allocated ? volume : null,
          file: null,
          at: null,
        };
      const file = disk.chain[volume]?.files[extent.file]?.name ?? null;
      return { start, length: extent.length, kind: extent.kind === "raw" ? "data" : "packed", owner: volume, file, at: extent.at };
    },

    async extension(format, options) {
      const row = formatById(format);
      const target = targetOf(row);
      return target.extension?.(readOptions(target, options)) ?? row.extensions[0] ?? row.id;
    },
    async plan(request) {
      const { disk, file } = opened(request.image);
      if (request.keepLayers === true) {
        const sums = await withPool((p) => prepareLayers(subjectOf(request), request, p, compute, never));
        return { ...sums, size: disk.size, changes: [], slimmed: null, qemuCommand: null };
      }
      const { plan: ready, shaped } = await plan(request);
      const { files, outputBytes, logicalBytes, memoryBytes, losses, survey: mapped, qemuArguments } = ready;
      const { losses: changes, slimmed } = shaped;
      // qemu-img changes no sizes and leaves out no free space.
      const command = shaped.disk === disk ? qemuCommand(disk, qemuArguments, file.name, ready.request.name) : null;
      const dataBytes = mapped.dataBytes + mapped.packedBytes;
      const { savedBytes, fileSystems, refused } = slimmed ?? {};
      return {
        files,
        outputBytes,
        logicalBytes,
        memoryBytes,
        size: ready.disk.size,
        losses,
        changes,
        slimmed: savedBytes === undefined ? null : { savedBytes, fileSystems: fileSystems ?? [], refused: refused ?? [] },
        dataBytes,
        qemuCommand: command,
      };
    },

    async run(id, request, place, report) {
      const started = performance.now();
      const { fileBytes, file, disk } = opened(request.image);
      const job = await startJob(id);
      const output = openOutput(place, `${session}-${id}`);
      job.output = output;
      const meter = createMeter(report);
      const { signal } = job.abort;
      try {
        requireOneKind(request);
        const ready = request.keepLayers === true ? null : await plan(request, signal);
        const refusal = ready?.shaped.losses.find(({ severity }) => severity === "blocker");
        if (refusal !== undefined) throw new DiskError("limit", `${refusal.what}: ${refusal.why}`);
        const written = await withPool(async (p) => {
          const ports = { pool: p, compute, createSink: output.createSink };
          if (ready !== null) return [await runConvert(ready.plan, ports, meter, signal)];
          const names = layerNames(disk, request.name);
          return convertChain(disk, chainRequest(request, names), ports, () => {}, meter, signal);
        });
        // The newest layer is the result; those below belong to it.
        const top = written.at(-1) as ConvertResult;
        const files = written.toReversed().flatMap((result) => result.files);
        const lost = written.flatMap((result) => result.lost);
        job.files = await output.files(files.map(({ name }) => name));
        const card: ResultCard = {
          files,
          sourceBytes: fileBytes,
          outputBytes: files.reduce((sum, { size }) => sum + size, 0),
          verified: written.every(({ verified }) => verified),
          blake3: top.blake3 && hexText(top.blake3),
          seconds: (performance.now() - started) / 1000,
          lost,
          wrongSums: [...new Set(written.flatMap(({ wrongSums }) => wrongSums))],
          report: lost.length > 0 ? salvageReport(file.name, files[0]?.name ?? request.name, lost) : null,
          warnings: disk.notes.filter(({ severity }) => severity === "warning").map(({ text }) => text),
          steps: ready && importCard(ready.shaped),
        };
        return card;
      } catch (error) {
        await output.undo();
        jobs.delete(id);
        throw error;
      }
    },
    async cancel(id) {
      jobs.get(id)?.abort.abort(new DOMException("the job was cancelled", "AbortError"));
    },
    async output(id) {
      return finished(id).files;
    },
    async discard(id) {
      const job = jobs.get(id);
      if (job === undefined) return;
      jobs.delete(id);
      await job.output?.discard();
    },
    async sha256(id, index, report) {
      const job = finished(id);
      const file = fileSource(job.files[index] as File);
      const meter = createMeter(report);
      const hash = kernels.sha256();
      const step = 4 << 20;
      for (let at = 0; at < file.size; at += step) {
        hash.update(await file.read(at, Math.min(step, file.size - at)));
        meter({ phase: "hash", done: Math.min(at + step, file.size), total: file.size, position: at });
        job.abort.signal.throwIfAborted();
      }
      return hexText(hash.digest());
    },
    async blake3(id, request, report) {
      return withJob(id, async (p, signal) => {
        const { disk } = await shapedFor(subjectOf(request), request, p, compute, signal);
        return hexText(await hashDisk(disk, p, createMeter(report), signal));
      });
    },
    async check(id, image, report) {
      const { file, context, format } = opened(image);
      const meter = createMeter(report);
      const onUnpack = (done: number, total: number): void => meter({ phase: "source", done, total, position: 0 });
      return withJob(id, (p, signal) => checkImage(file, { ...context, onUnpack, signal }, format, p, meter, signal));
    },
    async compare(id, first, second, report) {
      const [a, b] = [opened(first).disk, opened(second).disk];
      return withJob(id, (p, signal) => compareDisks(a, b, p, createMeter(report), signal));
    },
    async rehearse(id, request, report) {
      return withJob(id, async (p, signal) => {
        const ready = await prepare(subjectOf(request), request, p, compute, signal);
        return rehearse(ready.plan, { pool: p, compute }, createMeter(report), signal);
      });
    },
    async repairOptions(image) {
      return repairOptions(opened(image).disk);
    },

    sample: async () => new File(createSample(compute) as BlobPart[], "sample.vmdk"),
    tidy: tidyOutputs,
    tryNetwork,
  };
}

const chainRequest = ({ format, options, salvage }: ConvertRequest, names: readonly string[]) => ({
  format,
  options,
  salvage,
  names,
  verify: true,
  checkSource: true,
});
