import type { DiskFormat } from "../../core/model.ts";
import { openAndroidSparse } from "./reader.ts";
import { Header, MAGIC } from "./spec.ts";
import { blockSizeFor, createAndroidSparse } from "./writer.ts";

/** Blocks are counted in 32 bits. */
const MOST_BLOCKS = 2 ** 32 - 1;

export const androidSparse: DiskFormat = {
  id: "android-sparse",
  label: "Android sparse image",
  extensions: ["simg"],
  spec: "https://android.googlesource.com/platform/system/core/+/refs/heads/main/libsparse/sparse_format.h",
  probe: (head) => head.length >= Header.bytes && Header.read(head).magic === MAGIC,
  open: openAndroidSparse,
  target: {
    options: [
      {
        name: "zeros",
        label: "Empty parts",
        help: "Fill chunks write zeros to the device; “don't care” leaves there what is there.",
        choices: [
          { value: "fill", label: "Fill with zeros" },
          { value: "dont_care", label: "Leave open (don't care)" },
        ],
        initial: "fill",
      },
    ],
    losses: ({ size }) =>
      size / blockSizeFor(size) > MOST_BLOCKS
        ? [{ what: "The disk is too large", why: `The format counts at most ${MOST_BLOCKS} blocks.`, severity: "blocker" }]
        : [],
    create: createAndroidSparse,
    qemuArguments: () => null,
  },
};
