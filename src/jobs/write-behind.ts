import type { Copied, ImageSink } from "../core/ports.ts";
import type { JoinedWrite } from "./coalesce.ts";

/** Writes under way at once: results are worked on while earlier ones still go to the disk. Each is at most an order's bytes. */
export const MOST_UNDER_WAY = 3;

/** Hands writes to a sink without waiting for each. Their bytes must stay as they are until `settled`. */
export interface WriteBehind {
  /** Starts a write, as soon as fewer than MOST_UNDER_WAY are under way. Throws what an earlier one failed with. */
  add(write: JoinedWrite, copied?: readonly Copied[]): Promise<void>;
  /** Resolves when every write so far has ended, well or not. */
  settled(): Promise<void>;
  /** The same, and throws what one failed with. */
  end(): Promise<void>;
}

export function createWriteBehind(sink: Pick<ImageSink, "write">): WriteBehind {
  const underWay = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | null = null;
  const check = (): void => {
    if (failure !== null) throw failure.error;
  };
  const settled = async (): Promise<void> => {
    await Promise.all(underWay);
  };
  return {
    settled,
    async add({ file, at, parts }, copied) {
      while (underWay.size >= MOST_UNDER_WAY) await Promise.race(underWay);
      check();
      const ending = sink.write(file, at, parts, copied).then(
        () => void underWay.delete(ending),
        (error: unknown) => {
          failure ??= { error };
          underWay.delete(ending);
        },
      );
      underWay.add(ending);
    },
    async end() {
      await settled();
      check();
    },
  };
}
