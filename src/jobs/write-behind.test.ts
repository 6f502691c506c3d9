import { expect, test } from "vitest";
import type { JoinedWrite } from "./coalesce.ts";
import { createWriteBehind, MOST_UNDER_WAY } from "./write-behind.ts";

const write = (at: number): JoinedWrite => ({ file: 0, at, parts: [new Uint8Array(1)], length: 1 });

/** A sink whose writes end when they are told to. */
function heldSink() {
  const held: { readonly at: number; resolve(): void; reject(error: unknown): void }[] = [];
  const sink = { write: (_file: number, at: number) => new Promise<void>((resolve, reject) => void held.push({ at, resolve, reject })) };
  return { held, sink };
}
const turn = () => new Promise((resolve) => setTimeout(resolve));

test("writes go on together, but never more than the limit", async () => {
  const { held, sink } = heldSink();
  const behind = createWriteBehind(sink);
  for (let at = 0; at < MOST_UNDER_WAY; at++) await behind.add(write(at));
  let added = false;
  const next = behind.add(write(99)).then(() => {
    added = true;
  });
  await turn();
  expect(added).toBe(false);
  expect(held.map(({ at }) => at)).toEqual([...Array(MOST_UNDER_WAY).keys()]);
  held[1]?.resolve();
  await next;
  expect(held.at(-1)?.at).toBe(99);
});

test("settled waits for what was written so far; end tells what failed first, and nothing is written after it", async () => {
  const { held, sink } = heldSink();
  const behind = createWriteBehind(sink);
  await behind.add(write(0));
  await behind.add(write(1));
  let settled = false;
  const waiting = behind.settled().then(() => {
    settled = true;
  });
  held[1]?.reject(new Error("full"));
  await turn();
  expect(settled).toBe(false);
  held[0]?.reject(new Error("gone"));
  await waiting;
  await expect(behind.add(write(2))).rejects.toThrow("full");
  await expect(behind.end()).rejects.toThrow("full");
  expect(held).toHaveLength(2);
});
