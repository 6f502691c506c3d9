import type { DiskFormat } from "../../core/model.ts";
import { checkVhdx } from "./check.ts";
import { baseLosses, lossesOf, OPTIONS, qemuArguments, settle } from "./options.ts";
import { openVhdx } from "./reader.ts";
import { FILE_SIGNATURE } from "./spec.ts";
import { createVhdx } from "./writer.ts";

export const vhdx: DiskFormat = {
  id: "vhdx",
  label: "Hyper-V (VHDX)",
  extensions: ["vhdx", "avhdx"],
  spec: "https://learn.microsoft.com/openspecs/windows_protocols/ms-vhdx/",
  probe,
  open: openVhdx,
  check: checkVhdx,
  target: { options: OPTIONS, losses: lossesOf, create: createVhdx, contentIds: true, overBase: baseLosses, settle, qemuArguments },
};

function probe(head: Uint8Array): boolean {
  return String.fromCharCode(...head.subarray(0, FILE_SIGNATURE.length)) === FILE_SIGNATURE;
}
