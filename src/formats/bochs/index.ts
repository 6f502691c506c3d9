import type { DiskFormat } from "../../core/model.ts";
import { openBochs } from "./reader.ts";
import { Header, MAGIC, textOf } from "./spec.ts";

export const bochs: DiskFormat = {
  id: "bochs",
  label: "Bochs (growing)",
  extensions: ["bochs"],
  spec: "https://bochs.sourceforge.io/doc/docbook/development/harddisk-redologs.html",
  probe: (head) => head.length >= Header.bytes && textOf(Header.read(head).magic) === MAGIC,
  open: openBochs,
};
