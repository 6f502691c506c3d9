import { idOption } from "../../core/id-option.ts";
import type { DiskFormat } from "../../core/model.ts";
import type { Base, Loss, TargetSpec } from "../../core/target.ts";
import { sectorLosses } from "../../core/whole-sectors.ts";
import { checkVdi } from "./check.ts";
import { openVdi } from "./reader.ts";
import { BLOCK_BYTES, Header, MOST_BLOCKS, SIGNATURE } from "./spec.ts";
import { baseFaults, createVdi, idOf } from "./writer.ts";

export const vdi: DiskFormat = {
  id: "vdi",
  label: "VirtualBox (VDI)",
  extensions: ["vdi"],
  spec: "https://www.virtualbox.org/browser/vbox/trunk/src/VBox/Storage/VDICore.h",
  probe,
  open: openVdi,
  check: checkVdi,
  target: {
    options: [
      {
        name: "static",
        label: "Allocation",
        help: "Static images have room for every block from the start; dynamic ones grow.",
        choices: [
          { value: "off", label: "Dynamic" },
          { value: "on", label: "Static (full size)" },
        ],
        initial: "off",
      },
      idOption("UUID", "By which VirtualBox tells disks apart; empty: derived from the disk's content."),
    ],
    losses,
    create: createVdi,
    contentIds: true,
    overBase: baseLosses,
    // qemu-img writes no layers.
    qemuArguments: ({ options, base }) =>
      base === undefined ? ["-O", "vdi", ...(options["static"] === "on" ? ["-o", "static=on"] : [])] : null,
  },
};

function losses(spec: TargetSpec): Loss[] {
  const { size, options } = spec;
  const found: Loss[] = [];
  const block = (what: string, why: string) => found.push({ what, why, severity: "blocker" });
  if (Math.ceil(size / BLOCK_BYTES) > MOST_BLOCKS)
    block("The disk is too large", `A VDI holds at most ${MOST_BLOCKS} blocks of 1 MiB (just under 512 TiB).`);
  found.push(...sectorLosses(size, "VDI"));
  if (idOf(spec) === null)
    block("This is no UUID", `id is “${options["id"]}”, expected a UUID such as 01234567-89ab-4cde-8f01-23456789abcd, not all zero.`);
  return found;
}

function baseLosses(base: Base, spec: Omit<TargetSpec, "identity">): readonly Loss[] {
  return baseFaults(base, spec).map((why) => ({ what: "A differencing VDI cannot be made", why, severity: "blocker" }));
}

/** By the signature, or by the line of text before it: with a damaged signature the file is a broken VDI, not a raw disk. */
function probe(head: Uint8Array): boolean {
  if (head.length >= Header.bytes && Header.read(head).signature === SIGNATURE) return true;
  return /^<<< .{1,40} Disk Image >>>/.test(String.fromCharCode(...head.subarray(0, 64)));
}
