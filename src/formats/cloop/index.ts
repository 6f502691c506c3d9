import type { DiskFormat } from "../../core/model.ts";
import { openCloop } from "./reader.ts";
import { PREAMBLE, PREAMBLE_BYTES } from "./spec.ts";

export const cloop: DiskFormat = {
  id: "cloop",
  label: "Compressed loopback (cloop)",
  extensions: ["cloop"],
  spec: "https://www.qemu.org/docs/master/system/qemu-block-drivers.html",
  probe: (head) => PREAMBLE.test(String.fromCharCode(...head.subarray(0, PREAMBLE_BYTES))),
  open: openCloop,
};
