import { firstName, isTar } from "../../archives/tar.ts";
import type { DiskFormat } from "../../core/model.ts";
import { openXva } from "./reader.ts";
import { DESCRIPTOR } from "./spec.ts";
import { createXva } from "./writer.ts";

/** Machines exported by XenServer and XCP-ng. */
export const xva: DiskFormat = {
  id: "xva",
  label: "XenServer, XCP-ng (XVA)",
  extensions: ["xva"],
  spec: "https://xapi-project.github.io/xen-api/topics/vm-import-export.html",
  probe: (head) => isTar(head) && firstName(head) === DESCRIPTOR,
  open: openXva,
  target: {
    options: [],
    losses: () => [
      { what: "The virtual machine", why: "it is described with 2 processors, 2 GiB of memory and no network", severity: "note" },
    ],
    create: createXva,
    qemuArguments: () => null,
  },
};
