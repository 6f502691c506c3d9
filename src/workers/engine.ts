import { createPool, type WorkerPool } from "../blocks/pool.ts";
import { DiskError } from "../core/errors.ts";
import { hexText } from "../core/hex.ts";
import type { ByteSource, Note, OpenContext } from "../core/model.ts";
import type { ImageSink } from "../core/ports.ts";
import { DISK_FORMATS, formatById } from "../formats/registry.ts";
import { openDisk } from "../jobs/chain.ts";
import { checkImage } from "../jobs/check.ts";
import { compareDisks } from "../jobs/compare.ts";
import { type ConvertPlan, planConvert, rehearse, runConvert } from "../jobs/convert.ts";
import type { Disk } from "../jobs/disk.ts";
import { hashDisk } from "../jobs/hash.ts";
import type { Report } from "../jobs/progress.ts";
import { repairOptions } from "../jobs/repair.ts";
import { salvageReport } from "../jobs/salvage-report.ts";
import { createSample } from "../jobs/sample.ts";
import { survey } from "../jobs/survey.ts";
import { readOptions, targetOf } from "../jobs/target.ts";
import { createCompute } from "../kernels/compute.ts";
import { createHasher } from "../kernels/disk-hash.ts";
import { createKernels } from "../kernels/index.ts";
import { fileSource } from "../platform/browser/file-source.ts";
import { createFileSink, createFolderSink } from "../platform/browser/picked-sink.ts";
import { createPrivateSink, outputFiles, removeAbandoned, removeOutput } from "../platform/browser/private-store.ts";
import type { ConvertRequest, Engine, OutputPlace, ResultCard } from "./engine-api.ts";
import { cardOf, resolver } from "./image-card.ts";
import { createMeter } from "./meter.ts";
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
}
interface Job {
  readonly abort: AbortController;
  files: readonly File[];
  /** Where its output lies in the private store; null elsewhere. */
  stored: string | null;
  /** Lets go of the lock that keeps other tabs from tidying the output away. */
  release: () => void;
}

export function createEngine(): Engine {
  const kernels = createKernels();
  const compute = createCompute(kernels);
  const hasher = createHasher(kernels);
  const images = new Map<number, OpenedImage>();
  const jobs = new Map<number, Job>();
  const session = crypto.randomUUID();
  let lastImage = 0;
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
  const plan = (request: ConvertRequest): Promise<ConvertPlan> => {
    const { disk } = opened(request.image);
    const { format, options, name, salvage } = request;
    return withPool((p) =>
      planConvert(disk, { format, options, name, salvage, verify: true, checkSource: !salvage }, { pool: p, compute }, never),
    );
  };
  const startJob = async (id: number): Promise<Job> => {
    const job: Job = { abort: new AbortController(), files: [], stored: null, release: () => {} };
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

  return {
    async formats() {
      return DISK_FORMATS.map(({ id, label, extensions, wraps = false, target }) => ({
        id,
        label,
        extensions,
        wraps,
        options: target?.options ?? null,
      }));
    },

    async open(id, file, companions, options, report) {
      const remarks: Note[] = [];
      const { format, ...opening } = options;
      const meter = createMeter(report);
      const onUnpack = (done: number, total: number): void => meter({ phase: "source", done, total, position: 0 });
      const source = fileSource(file);
      return withJob(id, async (p, signal) => {
        const context = { ...opening, resolve: resolver([file, ...companions], remarks, compute), compute, onUnpack, signal };
        const disk = await openDisk(source, context, format);
        const image = ++lastImage;
        const files = [...new Map(disk.chain.flatMap((volume) => volume.files).map((used) => [used.name, used.size]))];
        const isWrapped = disk.chain[0]?.wrapping !== undefined;
        const fileBytes = isWrapped ? file.size : files.reduce((sum, [, size]) => sum + size, 0);
        const card = await cardOf(disk, image, file.name, fileBytes, p);
        signal.throwIfAborted();
        images.set(image, { disk, file: source, context, format, fileBytes });
        const names = isWrapped ? [file.name] : [file.name, ...files.map(([name]) => name)];
        return { ...card, notes: [...remarks, ...card.notes], files: [...new Set(names)] };
      });
    },
    async close(image) {
      images.delete(image);
    },
    async cells(image, count) {
      const { disk } = opened(image);
      return (await survey(disk, { cells: count, salvage: true }, never)).cells;
    },
    async extentAt(image, at) {
      const { disk } = opened(image);
      const start = Math.min(Math.max(0, at), disk.size - 1);
      const [run] = await disk.map(start, disk.size - start);
      if (run === undefined) throw new Error("a map answers with at least one run");
      const { extent, volume } = run;
      if (extent.kind === "zero") return { start, length: extent.length, kind: extent.allocated ? "zero" : "hole", file: null, at: null };
      const file = disk.chain[volume]?.files[extent.file]?.name ?? null;
      return { start, length: extent.length, kind: extent.kind === "raw" ? "data" : "packed", file, at: extent.at };
    },

    async extension(format, options) {
      const row = formatById(format);
      const target = targetOf(row);
      return target.extension?.(readOptions(target, options)) ?? row.extensions[0] ?? row.id;
    },
    async plan(request) {
      const { name } = opened(request.image).file;
      const { files, outputBytes, logicalBytes, memoryBytes, losses, survey: mapped, qemuArguments, disk } = await plan(request);
      const from = qemuSource(disk);
      const qemuCommand =
        qemuArguments && from && ["qemu-img", "convert", ...from, ...qemuArguments, quote(name), quote(request.name)].join(" ");
      return { files, outputBytes, logicalBytes, memoryBytes, losses, dataBytes: mapped.dataBytes + mapped.packedBytes, qemuCommand };
    },

    async run(id, request, output, report) {
      const started = performance.now();
      const {
        fileBytes,
        file: { name },
      } = opened(request.image);
      const job = await startJob(id);
      const ready = await plan(request);
      const createSink = (files: readonly string[]) => openSink(output, files, `${session}-${id}`, job);
      const meter = createMeter(report);
      const wrongSums = request.salvage ? readSums(ready.disk, meter, job.abort.signal) : Promise.resolve([]);
      const result = await withPool(async (p) => {
        await wrongSums;
        return runConvert(ready, { pool: p, compute, createSink, breathe }, meter, job.abort.signal);
      }).catch((error) => {
        job.release();
        jobs.delete(id);
        throw error;
      });
      job.files = await writtenFiles(
        output,
        result.files.map((file) => file.name),
        job,
      );
      const card: ResultCard = {
        files: result.files,
        sourceBytes: fileBytes,
        outputBytes: result.files.reduce((sum, file) => sum + file.size, 0),
        verified: result.verified,
        blake3: result.blake3 && hexText(result.blake3),
        seconds: (performance.now() - started) / 1000,
        lost: result.lost,
        wrongSums: await wrongSums,
        report: result.lost.length > 0 ? salvageReport(name, request.name, result.lost) : null,
      };
      return card;
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
      if (job.stored !== null) await removeOutput(job.stored);
      job.release();
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
    async blake3(id, image, report) {
      const { disk } = opened(image);
      return withJob(id, async (p, signal) => hexText(await hashDisk(disk, { pool: p, breathe }, createMeter(report), signal)));
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
      const ready = await plan(request);
      return withJob(id, (p, signal) => rehearse(ready, { pool: p, compute }, createMeter(report), signal));
    },
    async repairOptions(image) {
      return repairOptions(opened(image).disk);
    },

    sample: async () => new File(createSample(compute) as BlobPart[], "sample.vmdk"),
    async tidy() {
      await removeAbandoned(
        async (stored) => (await navigator.locks.query()).held?.some((lock) => lock.name === lockName(stored)) ?? false,
      );
    },
    tryNetwork,
  };
}

/** A refusal counts only when the browser reports the policy that made it; being offline is not being locked. */
async function tryNetwork(url: string): Promise<string | null> {
  const refused = new Promise<string>((resolve) => {
    const report = (event: Event): void => resolve(`refused by the browser: ${(event as SecurityPolicyViolationEvent).effectiveDirective}`);
    self.addEventListener("securitypolicyviolation", report, { once: true });
  });
  const passed = await fetch(url, { cache: "no-store" }).then(
    () => true,
    () => false,
  );
  if (passed) return null;
  const silent = new Promise<null>((resolve) => setTimeout(() => resolve(null), 200));
  return Promise.race([refused, silent]);
}

/** Where damage is to be carried on over, a wrong checksum over a whole file does not stop the work; it is told with the result. */
async function readSums(disk: Disk, report: Report, signal: AbortSignal): Promise<readonly string[]> {
  const wrong: string[] = [];
  const compared = (done: number, total: number): void => report({ phase: "source", done, total, position: 0 });
  for (const volume of disk.chain)
    await volume.verify?.(compared, signal).catch((error: unknown) => {
      if (!(error instanceof DiskError) || error.code !== "corrupt") throw error;
      wrong.push(error.message);
    });
  return wrong;
}

const lockName = (stored: string): string => `spindle-output:${stored}`;
/** Formats that qemu-img reads, and those of them whose layers it follows. */
const QEMU_READS = ["raw", "qcow2", "qcow", "vmdk", "vdi", "vpc", "vhdx", "parallels", "qed", "dmg", "bochs", "cloop"];
const QEMU_FOLLOWS = ["qcow2", "qcow", "vmdk", "qed"];

/** How qemu-img would be told to read this disk; null when it cannot, or would read something else. */
function qemuSource({ chain }: Disk): readonly string[] | null {
  const [top] = chain;
  const isPlain = chain.every(({ wrapping, encrypted, format }) => wrapping === undefined && !encrypted && QEMU_READS.includes(format));
  if (top === undefined || !isPlain || (top.format === "raw" && top.files.length > 1)) return null;
  return chain.length === 1 || QEMU_FOLLOWS.includes(top.format) ? ["-f", top.format] : null;
}

/** For a shell; a leading dash would make it an option. */
const quote = (given: string): string => {
  const name = given.startsWith("-") ? `./${given}` : given;
  return /^[\w.+/-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
};
/** Lets the worker answer its messages (a cancel) between two pieces of work. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

async function openSink(output: OutputPlace, files: readonly string[], stored: string, job: Job): Promise<ImageSink> {
  if (output.kind === "folder") return createFolderSink(output.handle, files, output.replace);
  if (output.kind === "file") {
    if (files.length > 1) throw new DiskError("usage", `this format is written as ${files.length} files: choose a folder`);
    return createFileSink(output.handle);
  }
  job.stored = stored;
  await holdLock(stored, job);
  return createPrivateSink(stored, files);
}

/** Other tabs see by this lock that the output is still wanted. */
function holdLock(stored: string, job: Job): Promise<void> {
  return new Promise((held) => {
    void navigator.locks.request(lockName(stored), () => {
      held();
      return new Promise<void>((release) => {
        job.release = release;
      });
    });
  });
}

async function writtenFiles(output: OutputPlace, names: readonly string[], job: Job): Promise<readonly File[]> {
  if (output.kind === "file") return [await output.handle.getFile()];
  if (output.kind === "folder") return Promise.all(names.map(async (name) => (await output.handle.getFileHandle(name)).getFile()));
  return outputFiles(job.stored as string, names);
}
