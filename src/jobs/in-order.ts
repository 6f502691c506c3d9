import type { BlockPool, BlockResult } from "../core/ports.ts";
import type { Work } from "./walk.ts";

export interface Done {
  readonly work: Work;
  readonly result: BlockResult;
}

/**
 * Results in the order of the disk, whatever worker finished first; never more orders in flight than the pool has credits.
 * The caller releases each result's buffer. Leaving the loop early stops issuing.
 */
export async function* inOrder(pool: BlockPool, works: AsyncIterable<Work>, signal: AbortSignal): AsyncGenerator<Done> {
  const flying: { readonly work: Work; readonly result: Promise<BlockResult> }[] = [];
  const source = works[Symbol.asyncIterator]();
  let more = true;
  try {
    for (;;) {
      while (more && flying.length < pool.credits) {
        const next = await source.next();
        if (next.done === true) more = false;
        else {
          const result = pool.process(next.value.order, signal);
          result.catch(() => {}); // reported when its turn comes
          flying.push({ work: next.value, result });
        }
      }
      const head = flying.shift();
      if (head === undefined) return;
      const result = await head.result;
      signal.throwIfAborted();
      yield { work: head.work, result };
    }
  } finally {
    await source.return?.(undefined);
    for (const { result } of flying) result.then(({ buffer }) => pool.release(buffer)).catch(() => {});
  }
}
