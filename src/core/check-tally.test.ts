import { expect, test } from "vitest";
import { CheckTally } from "./check-tally.ts";

test("all findings are counted, the first thousand listed", () => {
  const tally = new CheckTally();
  for (let i = 0; i < 1200; i++) tally.corruption(`entry ${i}`, i);
  tally.leak("lost", 0, 5);
  const report = tally.report();
  expect([report.corruptions, report.leaks, report.findings.length]).toEqual([1200, 5, 1000]);
  expect(report.findings[999]).toEqual({ severity: "corruption", text: "entry 999", at: 999, guest: null });
});

test("gaps are leaks of as many units", () => {
  const tally = new CheckTally();
  const gaps = [
    { start: 0, length: 1 },
    { start: 4, length: 3 },
  ];
  tally.unused(gaps, 512, 4096, "block");
  expect(tally.report()).toMatchObject({
    leaks: 4,
    findings: [
      { severity: "leak", text: "the block at byte 512 is not used", at: 512 },
      { severity: "leak", text: "3 blocks from byte 16896 on are not used", at: 16896 },
    ],
  });
});

test("another file's report is added, its findings named and moved to its place on the disk", () => {
  const part = new CheckTally();
  part.corruption("bad", 7, { start: 512, length: 100 });
  part.warning("odd");
  Object.assign(part, { allocatedClusters: 2, totalClusters: 3, compressedClusters: 1, fragmentedClusters: 1, imageEndOffset: 99 });
  const tally = new CheckTally();
  tally.leak("lost", 1);
  tally.include(part.report(), "b.hds", 4096);
  expect(tally.report()).toEqual({
    corruptions: 1,
    leaks: 1,
    allocatedClusters: 2,
    totalClusters: 3,
    compressedClusters: 1,
    fragmentedClusters: 1,
    imageEndOffset: 0,
    findings: [
      { severity: "leak", text: "lost", at: 1, guest: null },
      { severity: "corruption", text: "b.hds: bad", at: 7, guest: { start: 4608, length: 100 } },
      { severity: "warning", text: "b.hds: odd", at: null, guest: null },
    ],
  });
});
