import { openMember } from "../../archives/members.ts";
import { isZip, readZip } from "../../archives/zip.ts";
import type { DiskFormat } from "../../core/model.ts";

/** A disk in a zip archive: stored members are read in place, packed ones are unpacked as they are read. */
export const zip: DiskFormat = {
  id: "zip",
  wraps: true,
  label: "zip archive",
  extensions: ["zip"],
  spec: "https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT",
  probe: isZip,
  open: async (file, context) => openMember(file, "zip", await readZip(file, context), context),
};
