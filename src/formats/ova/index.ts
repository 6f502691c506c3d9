import { firstName, isTar } from "../../archives/tar.ts";
import type { DiskFormat } from "../../core/model.ts";
import { openOva } from "./reader.ts";
import { createOva } from "./writer.ts";

/** Appliances in one file. `vmdk`: the format that writes the disk inside. */
export function ova({ target: vmdk }: DiskFormat): DiskFormat {
  if (vmdk === undefined) throw new TypeError("ova: the disk's format is not written");
  return {
    id: "ova",
    wraps: true,
    label: "Appliance (OVA)",
    extensions: ["ova"],
    spec: "https://www.dmtf.org/dsp/DSP0243",
    probe: (head) => isTar(head) && /\.ovf$/i.test(firstName(head)),
    open: openOva,
    target: {
      options: [],
      losses: (spec) => [
        { what: "The virtual machine", why: "it is described with 2 processors, 2 GiB of memory and no network", severity: "note" },
        ...vmdk.losses({ ...spec, options: { subformat: "streamOptimized" } }),
      ],
      create: (spec, compute) => createOva(spec, compute, vmdk),
      qemuArguments: () => null,
    },
  };
}
