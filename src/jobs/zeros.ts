import { totalLength } from "../core/bytes.ts";
import type { Range } from "../core/model.ts";
import type { BlockPool, DiskHash } from "../core/ports.ts";
import type { Report } from "./progress.ts";

/** Zeros in one order: some milliseconds for a worker. */
const ZEROS_PER_ORDER = 16 << 20;
/** Gaps that may wait before they are worked off: few hundred bytes each. */
const MOST_GAPS = 4096;

/**
 * Has the block workers hash the zeros that wait: all of them, or those of a disk that has many gaps before they take too much memory.
 * `onHashed` is told how many bytes that were.
 */
export async function hashZeros(
  hash: DiskHash,
  when: "many" | "all",
  disk: { readonly size: number },
  pool: BlockPool,
  signal: AbortSignal,
  onHashed: (bytes: number) => void = () => {},
): Promise<void> {
  const { gaps } = hash;
  if (when === "many" && gaps.length < MOST_GAPS) return;
  const flying: { readonly bytes: number; readonly hashes: Promise<Uint8Array> }[] = [];
  const takeFirst = async (): Promise<void> => {
    const { bytes, hashes } = flying.shift() as (typeof flying)[number];
    hash.fill(await hashes);
    onHashed(bytes);
  };
  for (const ranges of orders(gaps)) {
    if (flying.length === pool.credits) await takeFirst();
    const hashes = pool.hashZeros({ diskSize: disk.size, ranges }, signal);
    hashes.catch(() => {}); // told when its turn comes
    flying.push({ bytes: totalLength(ranges), hashes });
  }
  while (flying.length > 0) await takeFirst();
}

/** What is left to hash, as a phase of a job; then the hash. */
export async function finishHash(
  hash: DiskHash,
  disk: { readonly size: number },
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<Uint8Array> {
  hash.end();
  const total = totalLength(hash.gaps);
  let done = 0;
  await hashZeros(hash, "all", disk, pool, signal, (bytes) => {
    done += bytes;
    report({ phase: "hash", done, total, position: disk.size });
  });
  return hash.finish();
}

/** The ranges, cut and gathered into portions of ZEROS_PER_ORDER. */
function* orders(gaps: readonly Range[]): Generator<readonly Range[]> {
  let ranges: Range[] = [];
  let room = ZEROS_PER_ORDER;
  for (const { start, length } of gaps)
    for (let done = 0; done < length; ) {
      const part = Math.min(room, length - done);
      ranges.push({ start: start + done, length: part });
      done += part;
      room -= part;
      if (room > 0) continue;
      yield ranges;
      ranges = [];
      room = ZEROS_PER_ORDER;
    }
  if (ranges.length > 0) yield ranges;
}
