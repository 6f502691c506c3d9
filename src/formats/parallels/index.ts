import type { DiskFormat } from "../../core/model.ts";
import { openBundle } from "./bundle.ts";
import { checkParallels } from "./check.ts";
import { hasDescriptor, hasMagic, isDescriptor } from "./content.ts";
import { openImage } from "./image.ts";
import { lossesOf, OPTIONS } from "./options.ts";
import { createParallels } from "./writer.ts";

export const parallels: DiskFormat = {
  id: "parallels",
  label: "Parallels",
  extensions: ["hdd", "hds", "parallels"],
  spec: "https://www.qemu.org/docs/master/interop/parallels.html",
  probe: (head) => hasMagic(head) || hasDescriptor(head),
  async open(file, context) {
    if (await isDescriptor(file)) return openBundle(file, context);
    const volume = await openImage(file, context);
    if (!/\.hds$/i.test(file.name)) return volume;
    const text = `${file.name} is named like one file of a bundle. If the disk is split or has snapshots, this is only a part of it: open DiskDescriptor.xml.`;
    return { ...volume, notes: [...volume.notes, { text, severity: "warning" }] };
  },
  check: checkParallels,
  target: {
    options: OPTIONS,
    losses: lossesOf,
    create: createParallels,
    qemuArguments: ({ options }) =>
      options["bundle"] === "on" ? null : ["-O", "parallels", "-o", `cluster_size=${options["cluster_size"]}`],
  },
};
