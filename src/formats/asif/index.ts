import type { DiskFormat } from "../../core/model.ts";
import { openAsif } from "./reader.ts";
import { Header, SIGNATURE } from "./spec.ts";

export const asif: DiskFormat = {
  id: "asif",
  label: "Apple (ASIF)",
  extensions: ["asif"],
  spec: "https://github.com/fox-it/dissect.hypervisor/blob/main/dissect/hypervisor/disk/asif.py",
  probe: (head) => head.length >= Header.bytes && Header.read(head).signature === SIGNATURE,
  open: openAsif,
};
