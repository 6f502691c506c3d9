import { joined } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, Range } from "../core/model.ts";
import type { BlockPool, Compute, DiskHash, ImageSink, LostRange } from "../core/ports.ts";
import type { Base, ImageWriter, Loss, TargetSpec, Write } from "../core/target.ts";
import { formatById } from "../formats/registry.ts";
import { coalesce, withoutZeros } from "./coalesce.ts";
import { type CopiedFrom, copiedFrom } from "./copied.ts";
import { baseOf, changedUnits, type Over } from "./delta.ts";
import { createDeltaUnits, surveyChanges, unitWrites } from "./delta-units.ts";
import { createDigest } from "./digest.ts";
import { attachDisk, type Disk, requireReadable } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import { occupancyOf } from "./occupancy.ts";
import type { Report } from "./progress.ts";
import { readDisk } from "./read.ts";
import { type Survey, survey } from "./survey.ts";
import { createMeasure, lossesOf, readOptions, targetOf, withoutSums } from "./target.ts";
import { openWritten, verifyImage } from "./verify.ts";
import { blockOrders, MIN_GRAIN } from "./walk.ts";
import { createWriteBehind, MOST_UNDER_WAY } from "./write-behind.ts";
import { finishHash, hashZeros } from "./zeros.ts";

export interface ConvertRequest {
  readonly format: string;
  /** Only what differs from the format's defaults. */
  readonly options: Readonly<Record<string, string>>;
  /** Name of the main output file. */
  readonly name: string;
  /** Zero what cannot be read, and list it, instead of stopping. */
  readonly salvage: boolean;
  /** Hash the disk, read the output back and compare. */
  readonly verify: boolean;
  /** Compare the checksums over whole files that the source carries, before anything is written. */
  readonly checkSource: boolean;
  /** Write a layer over this base, which holds only what differs from it. */
  readonly over?: Over | undefined;
}

export interface ConvertPlan {
  readonly request: ConvertRequest;
  readonly disk: Disk;
  readonly spec: TargetSpec;
  readonly files: readonly string[];
  readonly survey: Survey;
  /** Largest sum of what will be written, and of the files' logical sizes. */
  readonly outputBytes: number;
  readonly logicalBytes: number;
  /** Ceiling of buffers and tables. */
  readonly memoryBytes: number;
  readonly losses: readonly Loss[];
  /** `qemu-img convert` arguments without the file names; null when it cannot do the same. */
  readonly qemuArguments: readonly string[] | null;
}

/** What a job may touch; the browser and Node each build one. */
export interface ConvertPorts {
  readonly pool: BlockPool;
  readonly compute: Compute;
  createSink(files: readonly string[]): Promise<ImageSink>;
}

export interface ConvertResult {
  readonly files: readonly { readonly name: string; readonly size: number }[];
  /** Bytes handed to the sink. */
  readonly written: number;
  readonly verified: boolean;
  /** BLAKE3 of the virtual disk; null: see `unhashed`. */
  readonly blake3: Uint8Array | null;
  /** Why there is no BLAKE3; null: there is one. */
  readonly unhashed: string | null;
  readonly lost: readonly LostRange[];
  /** When salvaging: what the checksums over whole files of the source say against it. */
  readonly wrongSums: readonly string[];
  /** What a layer over the result would state about it; null: the format has no layers. */
  readonly base: Base | null;
}

const IDENTITY_BYTES = 256 << 10;
/** What makes a delta's identity: where its first changes lie (a start and a length each), and what the very first of them are. */
const MOST_IDENTITY_PLACES = 4096;
const MOST_IDENTITY_SAMPLES = 4;
/** One block worker: its arena, its gathered and its packed order (see assembly/README.md and blocks/processor.ts). */
const WORKER_BYTES = 24 << 20;
/** Tables, caches and the writer's own state. */
const TABLE_BYTES = 64 << 20;

/** Reads only: tables, and the first and last bytes of the disk. */
export async function planConvert(
  disk: Disk,
  request: ConvertRequest,
  ports: Pick<ConvertPorts, "pool" | "compute">,
  signal: AbortSignal,
): Promise<ConvertPlan> {
  const { pool } = ports;
  requireReadable(disk);
  const target = targetOf(formatById(request.format));
  const given = readOptions(target, request.options);
  const unsettled = { size: disk.size, name: request.name, options: given, base: request.over?.base };
  const options =
    target.settle === undefined ? given : { ...given, ...target.settle(unsettled, await occupancyOf(disk, request.salvage, signal)) };
  const identity = await identityOf(disk, request, pool, signal);
  const spec = { ...unsettled, options, identity };
  const losses = lossesOf(target, spec);
  const blocked = losses.some((loss) => loss.severity === "blocker");
  const writer = blocked ? null : target.create(spec, withoutSums(ports.compute));
  if (writer !== null && writer.files[0] !== request.name)
    throw new DiskError(
      "usage",
      `“${request.name}” cannot be the name of a ${request.format} image: it would be written as “${writer.files[0]}”`,
    );
  const measure = writer && createMeasure(writer);
  const onData = (start: number, length: number): void => measure?.add(start, length);
  const mapped =
    request.over === undefined
      ? await survey(disk, { cells: 1, salvage: request.salvage, onData }, signal)
      : await surveyChanges(disk, request.over, writer?.unit ?? MIN_GRAIN, request.salvage, onData, signal);
  const measured = measure?.finish() ?? { sizes: [], written: 0 };
  return {
    request,
    disk,
    spec,
    files: writer?.files ?? [request.name],
    survey: mapped,
    outputBytes: measured.written,
    logicalBytes: measured.sizes.reduce((sum, size) => sum + size, 0),
    memoryBytes: (pool.credits * 2 + MOST_UNDER_WAY) * pool.orderBytes + (pool.credits / 2) * WORKER_BYTES + TABLE_BYTES,
    losses,
    qemuArguments: blocked ? null : target.qemuArguments(spec),
  };
}

/**
 * The same disk gives the same identity in whatever format it comes: the seed of reproducible ids. A delta has another one than its base,
 * though both may begin and end with the same bytes, and than other deltas over it.
 */
async function identityOf(disk: Disk, { over, salvage }: ConvertRequest, pool: BlockPool, signal: AbortSignal): Promise<Uint8Array> {
  const whole = await contentIdentity(disk, salvage, pool, signal);
  if (over === undefined) return whole;
  const places: number[] = [];
  const samples: Uint8Array[] = [];
  const attached = attachDisk(disk, pool);
  try {
    for await (const { start, length } of changedUnits(disk, over, MIN_GRAIN, salvage, signal)) {
      if (samples.length < MOST_IDENTITY_SAMPLES) samples.push(await readDisk(attached, pool, start, MIN_GRAIN, signal, salvage));
      if (places.push(start, length) >= MOST_IDENTITY_PLACES) break;
    }
  } finally {
    attached.detach();
  }
  const parts = [new TextEncoder().encode(`${over.base.name} ${over.base.identity} ${places.join(" ")} `), ...samples, whole];
  return pool.hasher.digest(joined(parts)).slice(0, 16);
}

async function contentIdentity(disk: Disk, salvage: boolean, pool: BlockPool, signal: AbortSignal): Promise<Uint8Array> {
  const attached = attachDisk(disk, pool);
  try {
    const head = await readDisk(attached, pool, 0, IDENTITY_BYTES, signal, salvage);
    const tail = await readDisk(attached, pool, Math.max(0, disk.size - MIN_GRAIN), MIN_GRAIN, signal, salvage);
    const message = new Uint8Array(head.length + tail.length + 8);
    message.set(head);
    message.set(tail, head.length);
    new DataView(message.buffer).setFloat64(head.length + tail.length, disk.size);
    return pool.hasher.digest(message).slice(0, 16);
  } finally {
    attached.detach();
  }
}

/**
 * Why a job does not give the BLAKE3 of the whole disk; null: it does. BLAKE3 ties a chunk of zeros to its place, so hashing a huge empty
 * disk costs time that the work itself does not need.
 */
function unhashedFor({ request: { verify, over }, survey: { dataBytes, packedBytes, zeroBytes, holeBytes } }: ConvertPlan): string | null {
  if (!verify) return "nothing was hashed, for nothing was to be verified";
  if (over !== undefined) return "a layer holds only what differs from its base";
  const few = zeroBytes + holeBytes <= Math.max(4 * 2 ** 30, 2 * (dataBytes + packedBytes));
  return few ? null : "the disk has far more zeros than data, and each of them takes its time to hash";
}

/** Does what the plan says; on any failure or abort nothing is left of the output. */
export async function runConvert(plan: ConvertPlan, ports: ConvertPorts, report: Report, signal: AbortSignal): Promise<ConvertResult> {
  const blocker = plan.losses.find((loss) => loss.severity === "blocker");
  if (blocker !== undefined) throw new DiskError("limit", `${blocker.what}: ${blocker.why}`);
  const target = targetOf(formatById(plan.request.format));
  const wrongSums = plan.request.checkSource ? await checkSource(plan.disk, plan.request.salvage, report, signal) : [];
  const sink = await ports.createSink(plan.files);
  try {
    const hashed = plan.request.verify || target.contentIds === true;
    const written = await writeImage(plan, target.create(plan.spec, ports.compute), hashed, sink, ports, report, signal);
    const [files, blake3] = await closeAndHash(plan, written, sink, ports.pool, report, signal);
    const wrapping = target.readsAs?.(plan.spec.options) ?? null;
    const { format, over } = plan.request;
    const changes = over && { over, within: () => changedUnits(plan.disk, over, written.unit, plan.request.salvage, signal) };
    const expected = { format, wrapping, size: plan.disk.size, digest: written.digest, changes };
    if (plan.request.verify) await verifyImage(files, expected, ports.compute, ports.pool, report, signal);
    const base = target.overBase === undefined ? null : baseOf(await openWritten(files, expected, ports.compute), plan.request.name);
    await sink.commit();
    return {
      files: fileFacts(files),
      written: written.bytes,
      verified: plan.request.verify,
      blake3,
      unhashed: written.unhashed,
      lost: written.lost,
      wrongSums,
      base,
    };
  } catch (error) {
    await sink.abort(error).catch(() => {}); // what went wrong first is what the user has to know
    throw error;
  }
}

/**
 * Closes the output, and has the workers hash the rest of the disk meanwhile: a browser takes seconds for each gigabyte that it closes,
 * and leaves the processor idle. No more is hashed for an output that cannot be closed.
 */
async function closeAndHash(
  plan: ConvertPlan,
  written: Written,
  sink: Pick<ImageSink, "close">,
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<readonly [files: readonly ByteSource[], blake3: Uint8Array | null]> {
  report({ phase: "finish", done: 0, total: written.logicalBytes, position: plan.disk.size });
  const { hash, sizes } = written;
  let closed: boolean | Error = false;
  const closing = sink.close(sizes, signal).then(
    (files) => {
      closed = true;
      return files;
    },
    (error: Error) => {
      closed = error;
      throw error;
    },
  );
  const onHashed: Report = (step) => {
    if (closed instanceof Error) throw closed;
    if (closed) report(step);
  };
  const hashing = hash === null ? null : finishHash(hash, plan.disk, pool, onHashed, signal);
  hashing?.catch(() => {}); // told when the output has closed
  return [await closing, await hashing];
}

/** Does all of it but the writing: the sizes that the files would have, exactly. */
export async function rehearse(
  plan: ConvertPlan,
  ports: Pick<ConvertPorts, "pool" | "compute">,
  report: Report,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const nowhere = { write: async () => {} };
  const writer = targetOf(formatById(plan.request.format)).create(plan.spec, withoutSums(ports.compute));
  return (await writeImage(plan, writer, false, nowhere, ports, report, signal)).sizes;
}

/** Where damage is to be carried on over, a wrong checksum over a whole file does not stop the work; it is told with the result. */
async function checkSource(disk: Disk, salvage: boolean, report: Report, signal: AbortSignal): Promise<readonly string[]> {
  const wrong: string[] = [];
  const compared = (done: number, total: number): void => report({ phase: "source", done, total, position: 0 });
  for (const volume of disk.chain)
    await volume.verify?.(compared, signal).catch((error: unknown) => {
      if (!salvage || !(error instanceof DiskError) || error.code !== "corrupt") throw error;
      wrong.push(error.message);
    });
  return wrong;
}

const fileFacts = (files: readonly ByteSource[]) => files.map(({ name, size }) => ({ name, size }));

interface Written {
  readonly unit: number;
  readonly sizes: readonly number[];
  readonly logicalBytes: number;
  readonly bytes: number;
  readonly digest: ReturnType<typeof createDigest>;
  readonly hash: DiskHash | null;
  /** See `ConvertResult`; set when there is no `hash`. */
  readonly unhashed: string | null;
  readonly lost: readonly LostRange[];
}

/** The one pass over the source: blocks from the workers go, in the disk's order, through the writer into the sink. */
async function writeImage(
  plan: ConvertPlan,
  writer: ImageWriter,
  hashed: boolean,
  sink: Pick<ImageSink, "write">,
  ports: Pick<ConvertPorts, "pool" | "compute">,
  report: Report,
  signal: AbortSignal,
): Promise<Written> {
  const {
    disk,
    request: { over, salvage },
  } = plan;
  const { pool } = ports;
  const digest = createDigest();
  const unhashed = unhashedFor(plan);
  const hash = unhashed === null ? pool.hasher.disk(disk.size) : null;
  const lost: LostRange[] = [];
  const onLost = salvage ? (range: LostRange) => lost.push(range) : null;
  let bytes = 0;
  const behind = createWriteBehind(sink);
  const carryOut = async (writes: Iterable<Write>, from: CopiedFrom = () => undefined): Promise<void> => {
    for (const write of coalesce(writer.sequential ? writes : withoutZeros(writes))) {
      signal.throwIfAborted();
      const [only, ...others] = write.parts;
      await behind.add(write, only !== undefined && others.length === 0 ? from(only) : undefined);
      bytes += write.length;
    }
  };
  const changes = (): AsyncGenerator<Range> => changedUnits(disk, over as Over, writer.unit, salvage, signal);
  const units = over === undefined ? null : createDeltaUnits(writer, changes());
  const attached = attachDisk(disk, pool);
  const total = plan.survey.dataBytes + plan.survey.packedBytes;
  let done = 0;
  try {
    const walk = {
      unit: writer.unit,
      encoding: writer.encoding,
      hash: hashed,
      units: true,
      salvage,
      start: 0,
      end: disk.size,
      onLost,
      within: over && changes(),
    };
    for await (const { work, result } of inOrder(pool, blockOrders(attached, walk, signal), signal)) {
      digest.add(result.hashAt, result.hashes);
      result.hashAt.forEach((at, i) => void hash?.add(at, result.hashes.subarray(i * 32, i * 32 + 32)));
      if (hash !== null) await hashZeros(hash, "many", disk, pool, signal);
      for (const range of result.lost) lost.push(range);
      const from = copiedFrom(work.order, result.buffer, attached);
      if (units === null) await carryOut(unitWrites(writer, result), from);
      else for await (const writes of units.writes(result)) await carryOut(writes, from);
      void behind.settled().then(() => pool.release(result.buffer));
      done += work.dataBytes;
      report({ phase: "read", done, total, position: (work.order.grains[work.order.grains.length - 1] as number) + work.order.grain });
    }
    if (units !== null) for await (const writes of units.rest()) await carryOut(writes);
    const { writes, sizes } = writer.end(hashed ? digest.identity(plan.spec.identity, ports.compute.hash("sha256")) : undefined);
    await carryOut(writes);
    await behind.end();
    return {
      unit: writer.unit,
      sizes,
      logicalBytes: sizes.reduce((sum, size) => sum + size, 0),
      bytes,
      digest,
      hash,
      unhashed,
      lost: joinLost(lost),
    };
  } finally {
    attached.detach();
    await behind.settled(); // the sink is not closed under a write
  }
}

/** In the order of the disk; neighbours with one reason become one range. */
function joinLost(lost: readonly LostRange[]): LostRange[] {
  const joined: LostRange[] = [];
  for (const range of lost.toSorted((a, b) => a.start - b.start)) {
    const last = joined[joined.length - 1];
    if (last !== undefined && last.start + last.length === range.start && last.reason === range.reason)
      joined[joined.length - 1] = { ...last, length: last.length + range.length };
    else joined.push(range);
  }
  return joined;
}
