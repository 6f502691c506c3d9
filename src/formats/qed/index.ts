import { backingName } from "../../core/backing-file.ts";
import type { DiskFormat } from "../../core/model.ts";
import { checkQed } from "./check.ts";
import { baseLosses, lossesOf, OPTIONS } from "./options.ts";
import { openQed } from "./reader.ts";
import { MAGIC } from "./spec.ts";
import { createQed } from "./writer.ts";

export const qed: DiskFormat = {
  id: "qed",
  label: "QED (QEMU enhanced disk)",
  extensions: ["qed"],
  spec: "https://www.qemu.org/docs/master/interop/qed_spec.html",
  probe: (head) => head.length >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0, true) === MAGIC,
  open: openQed,
  check: checkQed,
  target: {
    options: OPTIONS,
    losses: lossesOf,
    overBase: baseLosses,
    create: createQed,
    qemuArguments: ({ options, base }) => [
      "-O",
      "qed",
      ...(base === undefined ? [] : ["-B", backingName(base), "-F", base.format]),
      "-o",
      `cluster_size=${options["cluster_size"]},table_size=${options["table_size"]}`,
    ],
  },
};
