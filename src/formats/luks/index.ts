import type { DiskFormat } from "../../core/model.ts";
import { isLuks, openLuks1, openLuks2 } from "./reader.ts";

/** A disk encrypted by dm-crypt with a LUKS header of version 1 before it; headers of unknown versions are refused at `open`. */
export const luks: DiskFormat = {
  id: "luks",
  label: "LUKS encrypted disk",
  extensions: ["luks"],
  spec: "LUKS On-Disk Format Specification 1.2.3, https://gitlab.com/cryptsetup/cryptsetup/-/wikis/Specification",
  probe: (head) => isLuks(head) && !isLuks(head, 2),
  open: openLuks1,
};

/** Recognised only to be refused by name: read as a raw disk it would give encrypted bytes. */
export const luks2: DiskFormat = {
  id: "luks2",
  label: "LUKS2 encrypted disk",
  extensions: [],
  spec: "LUKS2 On-Disk Format Specification 1.1.2, https://gitlab.com/cryptsetup/LUKS2-docs",
  probe: (head) => isLuks(head, 2),
  open: openLuks2,
};
