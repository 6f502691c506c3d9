import { expect, test } from "vitest";
import { createOverlay } from "../core/overlay.ts";
import { createDisk } from "../jobs/disk.ts";
import { testCompute } from "../testing/image-harness.ts";
import { qemuCommand } from "./qemu-command.ts";

const { mergeLayers } = testCompute();
const disk = createDisk([{ ...createOverlay(512, []), format: "raw" }], mergeLayers);
const command = (source: string, target: string, args: readonly string[] = ["-O", "qcow2"]) => qemuCommand(disk, args, source, target);

test("plain names stand as they are", () => {
  expect(command("a.raw", "b.qcow2", ["-O", "qcow2", "-o", "compat=1.1,cluster_size=65536"])).toBe(
    "qemu-img convert -f raw -O qcow2 -o compat=1.1,cluster_size=65536 a.raw b.qcow2",
  );
});

test("no name is an option, a protocol or more than one word for the shell", () => {
  expect(command("-a.raw", "nbd:b.qcow2")).toBe("qemu-img convert -f raw -O qcow2 ./-a.raw './nbd:b.qcow2'");
  expect(command("it's; rm.raw", "b.qcow2")).toBe("qemu-img convert -f raw -O qcow2 'it'\\''s; rm.raw' b.qcow2");
  expect(command("a.raw", "b.qcow2", ["-O", "qcow2", "-B", "my base.qcow2"])).toContain("-B 'my base.qcow2' ");
});

test("there is none for what qemu-img does not read", () => {
  expect(qemuCommand(disk, null, "a", "b")).toBe(null);
  expect(qemuCommand(createDisk([createOverlay(512, [])], mergeLayers), ["-O", "raw"], "a", "b")).toBe(null);
});
