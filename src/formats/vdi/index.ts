import type { DiskFormat, TargetSpec } from "../../core/model.ts";
import { checkVdi } from "./check.ts";
import { openVdi } from "./reader.ts";
import { BLOCK_BYTES, Header, MOST_BLOCKS, SIGNATURE } from "./spec.ts";
import { createVdi } from "./writer.ts";

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
    ],
    losses: ({ size }: TargetSpec) =>
      Math.ceil(size / BLOCK_BYTES) > MOST_BLOCKS
        ? [
            {
              what: "The disk is too large",
              why: `A VDI holds at most ${MOST_BLOCKS} blocks of 1 MiB (just under 512 TiB).`,
              severity: "blocker",
            },
          ]
        : [],
    create: createVdi,
    qemuArguments: ({ options }) => ["-O", "vdi", ...(options["static"] === "on" ? ["-o", "static=on"] : [])],
  },
};

/** By the signature, or by the line of text before it: with a damaged signature the file is a broken VDI, not a raw disk. */
function probe(head: Uint8Array): boolean {
  if (head.length >= Header.bytes && Header.read(head).signature === SIGNATURE) return true;
  return /^<<< .{1,40} Disk Image >>>/.test(String.fromCharCode(...head.subarray(0, 64)));
}
