import { expect, test } from "vitest";
import { RecentPieces } from "./recent-pieces.ts";

test("the latest are kept, and asked for at the same time they are read once", async () => {
  const pieces = new RecentPieces<number>(2);
  const loads: number[] = [];
  const get = (number: number) =>
    pieces.get(number, async () => {
      loads.push(number);
      return number * 10;
    });
  expect(await Promise.all([get(1), get(1), get(2), get(1)])).toEqual([10, 10, 20, 10]);
  await get(3);
  await get(1);
  await get(2);
  expect(loads).toEqual([1, 2, 3, 2]);
});

test("a piece that failed is read again", async () => {
  const pieces = new RecentPieces<string>(2);
  await expect(pieces.get(7, () => Promise.reject(new Error("torn")))).rejects.toThrow("torn");
  expect(await pieces.get(7, async () => "whole")).toBe("whole");
});
