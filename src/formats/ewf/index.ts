import type { DiskFormat } from "../../core/model.ts";
import { openEwf } from "./reader.ts";
import { SIGNATURE } from "./spec.ts";

/** Disks acquired by forensic programs: EnCase E01, SMART S01. */
export const ewf: DiskFormat = {
  id: "ewf",
  label: "EnCase (E01)",
  extensions: ["e01", "s01"],
  spec: "https://github.com/libyal/libewf/blob/main/documentation/Expert%20Witness%20Compression%20Format%20(EWF).asciidoc",
  probe: (head) => head.length >= SIGNATURE.length && String.fromCharCode(...head.subarray(0, SIGNATURE.length)) === SIGNATURE,
  open: openEwf,
};
