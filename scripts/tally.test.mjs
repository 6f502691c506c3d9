import { describe, expect, test } from "vitest";
import { closing, readPlaywright, readTally, runnerTally, sumTallies } from "./tally.mjs";

const tally = (passed, failures = [], skipped = []) => ({ passed, failures, skipped });
const skip = { name: "a", reason: "no qemu-img" };

describe("the closing line", () => {
  test("names skipped checks, which CI counts as failed", () => {
    expect(closing(tally(3), false)).toEqual({ line: "3 passed, 0 failed", failed: 0 });
    expect(closing(tally(3, ["x"], [skip]), false)).toEqual({ line: "3 passed, 1 failed, 1 skipped", failed: 1 });
    expect(closing(tally(3, [], [skip]), true)).toEqual({ line: "3 passed, 1 failed", failed: 1 });
  });

  test("counts every part", () => {
    expect(sumTallies([tally(1), tally(2, ["x"]), tally(0, [], [skip])])).toEqual(tally(3, ["x"], [skip]));
  });
});

describe("a runner", () => {
  test("that leaves no report, half of one or another one has failed", () => {
    for (const report of [
      null,
      "",
      '{"passed":',
      "{}",
      '{"passed":"3","failures":[],"skipped":[]}',
      '{"passed":3,"failures":[],"skipped":[{}]}',
    ])
      expect(runnerTally("unit", 0, report, readTally).failures).toHaveLength(1);
  });

  test("that ends badly has failed, whatever its report says", () => {
    expect(runnerTally("unit", 1, JSON.stringify(tally(5)), readTally)).toEqual(tally(5, ["unit ended with 1"]));
    expect(runnerTally("unit", 1, JSON.stringify(tally(5, ["x"])), readTally)).toEqual(tally(5, ["x"]));
  });

  test("that runs no test has failed", () => {
    expect(runnerTally("unit", 0, JSON.stringify(tally(0)), readTally).failures).toEqual(["unit ran no test"]);
  });
});

test("a report of Playwright: flaky is failed, a skip has its reason, errors outside of tests count", () => {
  const spec = (title, status, annotations = []) => ({ title, tests: [{ status, annotations }] });
  const inner = { title: "inner", specs: [spec("b", "skipped", [{ type: "skip", description: "no window" }]), spec("c", "flaky")] };
  const suites = [{ title: "file", specs: [spec("a", "expected"), spec("d", "unexpected")], suites: [inner] }];
  expect(readPlaywright(JSON.stringify({ suites, errors: [{ message: "no server" }] }))).toEqual(
    tally(1, ["e2e: no server", "file > inner > c (flaky)", "file > d"], [{ name: "file > inner > b", reason: "no window" }]),
  );
});
