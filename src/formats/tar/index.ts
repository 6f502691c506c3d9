import { openMember } from "../../archives/members.ts";
import { isTar, readTar } from "../../archives/tar.ts";
import type { DiskFormat } from "../../core/model.ts";

export { isMember } from "../../archives/members.ts";

/** A disk in a tar archive, read in place. */
export const tar: DiskFormat = {
  id: "tar",
  wraps: true,
  label: "tar archive",
  extensions: ["tar", "box"],
  spec: "POSIX.1-2017, pax (ustar and pax); GNU tar manual (long names, base-256 numbers, sparse files)",
  probe: isTar,
  open: async (file, context) => openMember(file, "tar", await readTar(file, context.signal), context),
};
