import { createBLAKE3 } from "hash-wasm";
import { expect, test } from "vitest";
import { totalLength } from "../core/bytes.ts";
import { hexText } from "../core/hex.ts";
import type { BlockPool } from "../core/ports.ts";
import { localPool } from "../testing/local-pool.ts";
import type { JobProgress } from "./progress.ts";
import { finishHash, hashZeros } from "./zeros.ts";

const PIECE = 64 << 10;
const signal = new AbortController().signal;

/** A pool whose answers come in any order; `orders`: the bytes of each that it was given, `most`: how many it had at once. */
function watchedPool(): BlockPool & { readonly orders: number[]; readonly most: () => number } {
  const pool = localPool(2);
  const orders: number[] = [];
  let [underWay, most] = [0, 0];
  return Object.assign(Object.create(pool) as BlockPool, {
    orders,
    most: () => most,
    hashZeros: async (...[order, given]: Parameters<BlockPool["hashZeros"]>) => {
      orders.push(totalLength(order.ranges));
      most = Math.max(most, ++underWay);
      const hashes = await pool.hashZeros(order, given);
      await new Promise((resolve) => setTimeout(resolve, (orders.length * 7) % 5));
      underWay--;
      return hashes;
    },
  });
}

test("zeros are hashed by the workers, so many at once, and told", async () => {
  const size = 100 * 1024 ** 2 + 512;
  const pool = watchedPool();
  const hash = pool.hasher.disk(size);
  const told: JobProgress[] = [];
  const found = await finishHash(hash, { size }, pool, (progress) => told.push(progress), signal);
  const library = await createBLAKE3();
  library.init();
  for (let at = 0; at < size; at += PIECE) library.update(new Uint8Array(Math.min(PIECE, size - at)));
  expect(hexText(found)).toBe(library.digest("hex"));
  expect(pool.most()).toBe(pool.credits);
  expect(told.map(({ done }) => done)).toEqual([1, 2, 3, 4, 5, 6].map((i) => i * 2 ** 24).concat(size));
  expect(told.every(({ total, phase }) => total === size && phase === "hash")).toBe(true);
});

test("few gaps wait for the end; many are worked off, small ones together", async () => {
  const gaps = 5000;
  const size = 2 * gaps * PIECE;
  const pool = watchedPool();
  const hash = pool.hasher.disk(size);
  const value = new Uint8Array(32).fill(9);
  let most = 0;
  for (let i = 0; i < gaps; i++) {
    hash.add((2 * i + 1) * PIECE, value);
    most = Math.max(most, hash.gaps.length);
    await hashZeros(hash, "many", { size }, pool, signal);
    if (i === 4000) expect(pool.orders).toEqual([]);
  }
  expect(most).toBe(4096);
  expect(pool.orders).toEqual(Array.from({ length: 16 }, () => 2 ** 24));
  expect(hash.gaps.length).toBe(gaps - 4096);
});

test("an abort ends it", async () => {
  const pool = localPool(1);
  const size = 2 ** 40;
  const abort = new AbortController();
  const running = finishHash(pool.hasher.disk(size), { size }, pool, () => abort.abort(new Error("enough")), abort.signal);
  await expect(running).rejects.toThrow("enough");
});
