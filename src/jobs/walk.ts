import { clip, type Run } from "../core/block-map.ts";
import { DiskError, type DiskErrorCode } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import type { BlockOrder, LostRange, PlacedExtent } from "../core/ports.ts";
import type { Encoding } from "../core/target.ts";
import type { AttachedDisk, Disk } from "./disk.ts";

/** Grains are never smaller, so that hashing and messaging do not drown in tiny units. */
export const MIN_GRAIN = 64 << 10;
/** Where salvage cannot tell how much a damaged table covers, it gives up this much at a time. */
const SALVAGE_STEP = 64 << 10;

/** Failures of the whole image, which no salvaging gets around. */
const GIVEN_UP: readonly DiskErrorCode[] = ["unsupported", "passphrase"];

/** Every run of the map between two places, in order; in salvage mode unreadable ranges are reported and read as zero. */
export async function* mapRuns(
  disk: Disk,
  start: number,
  end: number,
  signal: AbortSignal,
  onLost: ((lost: LostRange) => void) | null = null,
): AsyncGenerator<readonly Run[]> {
  let at = start;
  let limit = end;
  while (at < end) {
    signal.throwIfAborted();
    try {
      const runs = await disk.map(at, Math.min(limit, end) - at, signal);
      yield runs;
      const last = (runs[runs.length - 1] as Run).extent;
      at = last.start + last.length;
      limit = end;
    } catch (error) {
      if (onLost === null || !(error instanceof DiskError) || GIVEN_UP.includes(error.code)) throw error;
      const { guest } = error;
      const named = guest !== undefined && guest.start <= at && guest.start + guest.length > at;
      if (guest !== undefined && guest.start > at && guest.start < limit) limit = guest.start;
      else if (!named && limit - at > SALVAGE_STEP) limit = at + Math.max(SALVAGE_STEP, Math.floor((limit - at) / 2));
      else {
        const stop = named ? Math.min(guest.start + guest.length, end) : limit;
        onLost({ start: at, length: stop - at, reason: error.message });
        at = stop;
        limit = end;
      }
    }
  }
}

export interface WalkRequest {
  readonly unit: number;
  readonly encoding: Encoding | null;
  readonly hash: boolean;
  readonly units: boolean;
  readonly salvage: boolean;
  readonly start: number;
  readonly end: number;
  readonly onLost: ((lost: LostRange) => void) | null;
  /** Leave out what is stored as it is. */
  readonly packedOnly?: boolean;
  /** Only the grains with something of these, ascending and disjoint; absent: all. */
  readonly within?: AsyncIterable<Range> | undefined;
}

/** Of a walk that only asks what is there, by the hashes of its pieces of 64 KiB. */
export const HASHES = {
  unit: MIN_GRAIN,
  encoding: null,
  hash: true,
  units: false,
  salvage: false,
  onLost: null,
} as const satisfies Partial<WalkRequest>;

/** An order and how many bytes of data (as the disk shows them) it carries. */
export interface Work {
  readonly order: BlockOrder;
  readonly dataBytes: number;
}

/** Cuts the data of a disk into orders, ascending; what the map knows to be zero costs nothing. */
export async function* blockOrders(attached: AttachedDisk, request: WalkRequest, signal: AbortSignal): AsyncGenerator<Work> {
  const { disk } = attached;
  const grain = Math.max(MIN_GRAIN, request.unit);
  const { unit, encoding, hash, units, salvage } = request;
  const room = Math.max(1, Math.floor(attached.orderBytes / grain));
  let grains: number[] = [];
  let extents: PlacedExtent[] = [];
  let dataBytes = 0;
  const take = (): Work => {
    const work = { order: { diskSize: disk.size, grain, unit, grains, extents, hash, units, encoding, salvage }, dataBytes };
    grains = [];
    extents = [];
    dataBytes = 0;
    return work;
  };
  for await (const runs of runsWithin(disk, grain, request, signal)) {
    for (const run of runs) {
      if (run.extent.kind === "zero" || (request.packedOnly === true && run.extent.kind === "raw")) continue;
      let rest = attached.place(run);
      const end = rest.start + rest.length;
      while (rest.start < end) {
        const first = Math.floor(rest.start / grain) * grain;
        const shared = grains[grains.length - 1] === first;
        const needed = Math.ceil((end - first) / grain) - (shared ? 1 : 0);
        const free = room - grains.length;
        // Full, or a packed block would be cut (and decoded twice) though it fits into the next order whole.
        if (!shared && (free === 0 || (rest.kind === "packed" && needed > free && grains.length > 0))) {
          yield take();
          continue;
        }
        const stop = Math.min(end, first + (Math.min(needed, free) + (shared ? 1 : 0)) * grain);
        extents.push(clip(rest, rest.start, stop - rest.start));
        for (let g = first + (shared ? grain : 0); g < stop; g += grain) grains.push(g);
        dataBytes += stop - rest.start;
        rest = clip(rest, stop, end - stop);
      }
    }
  }
  if (grains.length > 0) yield take();
}

async function* runsWithin(disk: Disk, grain: number, request: WalkRequest, signal: AbortSignal): AsyncGenerator<readonly Run[]> {
  const { start, end, onLost, within = [{ start, length: end - start }] } = request;
  let done = start;
  for await (const range of within) {
    const from = Math.max(done, Math.floor(range.start / grain) * grain);
    done = Math.min(end, Math.ceil((range.start + range.length) / grain) * grain);
    if (from < done) yield* mapRuns(disk, from, done, signal, onLost);
  }
}
