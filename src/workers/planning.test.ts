import { describe, expect, test } from "vitest";
import { createOverlay } from "../core/overlay.ts";
import { baseOf } from "../jobs/delta.ts";
import { createDisk } from "../jobs/disk.ts";
import { noise } from "../testing/disks.ts";
import { testCompute } from "../testing/image-harness.ts";
import { localPool } from "../testing/local-pool.ts";
import type { ConvertRequest } from "./engine-api.ts";
import { prepare, prepareLayers, requireOneKind } from "./planning.ts";

const MIB = 1 << 20;
const compute = testCompute();
const never = new AbortController().signal;
const request: ConvertRequest = { image: 1, format: "qcow2", options: {}, name: "t.qcow2", salvage: false };
const below = createDisk([createOverlay(MIB, [{ start: 0, length: 512, bytes: noise(512, 1) }])], compute.mergeLayers);
const disk = createDisk(
  [createOverlay(MIB, [{ start: MIB - 512, length: 512, bytes: noise(512, 2) }]), ...below.chain],
  compute.mergeLayers,
);
const over = { base: { ...baseOf(below.chain[0]!, "b.qcow2"), format: "qcow2" }, disk: below, changes: null };

describe("what cannot go together is refused with words", () => {
  const refusal = (more: Partial<ConvertRequest>): string => {
    try {
      requireOneKind({ ...request, ...more });
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };

  test("a base and what makes another disk of it", () => {
    expect(refusal({ base: 2 })).toBe("");
    expect(refusal({ base: 2, preset: "azure" })).toContain("choose either the target or the base");
    expect(refusal({ base: 2, size: 2 * MIB })).toContain("the disk as it is");
    expect(refusal({ base: 2, slim: true })).toContain("the disk as it is");
  });

  test("kept layers and what changes them", () => {
    expect(refusal({ keepLayers: true })).toBe("");
    for (const more of [{ preset: "azure" }, { size: 2 * MIB }, { slim: true }, { base: 2 }])
      expect(refusal({ keepLayers: true, ...more })).toContain("layers are kept as they are");
    expect(refusal({ preset: "azure", size: 2 * MIB, slim: true })).toBe("");
  });

  test("by every plan", async () => {
    const pool = localPool(1);
    const subject = { disk, name: "d.img", over };
    await expect(prepare(subject, { ...request, base: 2, preset: "azure" }, pool, compute, never)).rejects.toThrow(
      "the target or the base",
    );
    const layers = { ...request, keepLayers: true, slim: true };
    await expect(prepareLayers(subject, layers, pool, compute, never)).rejects.toThrow("layers are kept");
  });
});

test("a layer that has its base's name is blocked", async () => {
  const named = { ...request, base: 2, name: "B.qcow2" };
  const { plan } = await prepare({ disk, name: "d.img", over }, named, localPool(1), compute, never);
  expect(plan.losses.map(({ severity, what }) => [severity, what])).toEqual([["blocker", "“B.qcow2” is the name of the base"]]);
});

test("what a format cannot carry of a kept chain is told once, before anything is written", async () => {
  const subject = { disk, name: "d.img", over: undefined };
  const lossesIn = async (format: string) =>
    (await prepareLayers(subject, { ...request, format, name: `t.${format}`, keepLayers: true }, localPool(1), compute, never)).losses;
  expect(await lossesIn("qcow2")).toEqual([]);
  expect((await lossesIn("raw")).map(({ what }) => what)).toEqual(["This format has no layers"]);
});
