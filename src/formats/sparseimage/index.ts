import type { DiskFormat } from "../../core/model.ts";
import { openSparseImage } from "./reader.ts";
import { Header, SIGNATURE } from "./spec.ts";

export const sparseimage: DiskFormat = {
  id: "sparseimage",
  label: "Apple (sparse image)",
  extensions: ["sparseimage"],
  spec: "https://github.com/libyal/libmodi/blob/main/documentation/Mac%20OS%20disk%20image%20types.asciidoc",
  probe: (head) => head.length >= Header.bytes && Header.read(head).signature === SIGNATURE,
  open: openSparseImage,
};
