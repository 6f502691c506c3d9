import { expect, test } from "vitest";
import { createTurns } from "./turns.ts";

/** Jobs that pass on and end when a test says so; what has begun and what has ended, in order. */
function held(most: number, areInTheWay: (item: string, earlier: string) => Promise<boolean> = async () => false) {
  const turns = createTurns<string>(most, areInTheWay);
  const events: string[] = [];
  const jobs = new Map<string, { passOn(): void; end(): void }>();
  const take = (item: string) =>
    turns.take(item, (passOn) => {
      events.push(item);
      return new Promise((end) => jobs.set(item, { passOn, end }));
    });
  const settled = async () => {
    for (let i = 0; i < 50; i++) await Promise.resolve();
    return events.join("");
  };
  const passOn = (item: string) => {
    jobs.get(item)?.passOn();
    return settled();
  };
  const end = (item: string) => {
    jobs.get(item)?.end();
    return settled();
  };
  return { take, settled, passOn, end };
}

test("the next begins when the one before has passed on or ended", async () => {
  const { take, settled, passOn, end } = held(3);
  const all = [..."abc"].map(take);
  expect(await settled()).toBe("a");
  expect(await passOn("a")).toBe("ab");
  expect(await end("a")).toBe("ab");
  expect(await end("b")).toBe("abc");
  await end("c");
  await Promise.all(all);
});

test("no more than the limit are at work, whichever ends first", async () => {
  const { take, settled, passOn, end } = held(2);
  for (const item of "abcd") void take(item);
  await settled();
  await passOn("a");
  expect(await passOn("b")).toBe("ab");
  expect(await end("b")).toBe("abc");
  expect(await passOn("c")).toBe("abc");
  expect(await end("a")).toBe("abcd");
});

test("what is in the way is waited for to its end, the others are not", async () => {
  const { take, settled, passOn, end } = held(3, async (item, earlier) => item + earlier === "ca");
  for (const item of "abc") void take(item);
  await settled();
  await passOn("a");
  expect(await passOn("b")).toBe("ab");
  expect(await end("a")).toBe("abc");
});

test("after all have ended the next begins at once", async () => {
  const { take, settled, end } = held(1);
  void take("a");
  await settled();
  await end("a");
  void take("b");
  expect(await settled()).toBe("ab");
});
