import { backingName } from "../../core/backing-file.ts";
import type { DiskFormat } from "../../core/model.ts";
import type { ImageWriter, TargetSpec } from "../../core/target.ts";
import { checkVmdk } from "./check.ts";
import { looksLikeDescriptor } from "./descriptor.ts";
import { FlatWriter } from "./flat-writer.ts";
import { baseLosses, losses, OPTIONS, readSpec } from "./options.ts";
import { openVmdk } from "./reader.ts";
import { SparseWriter, SplitSparseWriter } from "./sparse-writer.ts";
import { COWD_MAGIC, MAGIC, SESPARSE_MAGIC } from "./spec.ts";
import { StreamWriter } from "./stream-writer.ts";

export const vmdk: DiskFormat = {
  id: "vmdk",
  label: "VMware (VMDK)",
  extensions: ["vmdk"],
  spec: "https://github.com/vmware/open-vmdk/blob/master/vmdk_50_technote.pdf",
  probe,
  open: openVmdk,
  check: checkVmdk,
  target: { options: OPTIONS, losses, overBase: baseLosses, create, contentIds: true, qemuArguments },
};

/** By the magic number of a hosted sparse, COWD or seSparse extent, or by the first lines of a descriptor. */
function probe(head: Uint8Array): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length >= 4 && [MAGIC, COWD_MAGIC].includes(view.getUint32(0, true))) return true;
  if (head.length >= 8 && view.getBigUint64(0, true) === SESPARSE_MAGIC) return true;
  return looksLikeDescriptor(head);
}

function create(target: TargetSpec): ImageWriter {
  const spec = readSpec(target);
  if (spec.subformat === "streamOptimized") return new StreamWriter(spec);
  if (spec.subformat === "monolithicSparse") return new SparseWriter(spec);
  if (spec.subformat === "twoGbMaxExtentSparse") return new SplitSparseWriter(spec);
  return new FlatWriter(spec);
}

/** qemu-img has no way to set the ids, and does not write VMFS descriptors. */
function qemuArguments(target: TargetSpec): readonly string[] | null {
  if (losses(target).some(({ severity }) => severity === "blocker")) return null;
  const { subformat, adapterType, hwVersion, zeroedGrains } = readSpec(target);
  if (subformat === "vmfs" || subformat === "vmfsThin") return null;
  const zeroed = zeroedGrains ? ",zeroed_grain=on" : "";
  const over = target.base === undefined ? [] : ["-B", backingName(target.base), "-F", "vmdk"];
  return ["-O", "vmdk", ...over, "-o", `subformat=${subformat},adapter_type=${adapterType},hwversion=${hwVersion}${zeroed}`];
}
