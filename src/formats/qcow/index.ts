import type { DiskFormat } from "../../core/model.ts";
import { checkQcow } from "./check.ts";
import { openQcow } from "./reader.ts";
import * as q from "./spec.ts";

/** QEMU's first copy-on-write disk; versions after it are qcow2. */
export const qcow: DiskFormat = {
  id: "qcow",
  label: "QEMU disk (qcow, version 1)",
  extensions: ["qcow"],
  spec: "QEMU, block/qcow.c; https://github.com/libyal/libqcow/blob/main/documentation",
  probe(head) {
    if (head.length < 8) return false;
    const view = new DataView(head.buffer, head.byteOffset);
    return view.getUint32(0) === q.MAGIC && view.getUint32(4) === 1;
  },
  open: openQcow,
  check: checkQcow,
};
