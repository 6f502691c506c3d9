import type { DiskFormat } from "../../core/model.ts";
import { checkQcow2 } from "./check.ts";
import { baseLosses, lossesOf, OPTIONS, qemuArgumentsOf } from "./options.ts";
import { openQcow2 } from "./reader.ts";
import * as q from "./spec.ts";
import { createQcow2 } from "./writer.ts";

/** QEMU's copy-on-write disk, versions 2 and 3. */
export const qcow2: DiskFormat = {
  id: "qcow2",
  label: "QEMU disk (qcow2)",
  extensions: ["qcow2"],
  spec: "QEMU, docs/interop/qcow2.rst",
  // Version 1 (“qcow”) and versions of the future are refused at `open`, with their number, rather than taken for raw.
  probe: (head) => head.length >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0) === q.MAGIC,
  open: openQcow2,
  check: checkQcow2,
  target: { options: OPTIONS, losses: lossesOf, overBase: baseLosses, create: createQcow2, qemuArguments: qemuArgumentsOf },
};
