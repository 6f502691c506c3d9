import type { DiskFormat } from "../../core/model.ts";
import { checkVhd } from "./check.ts";
import { hasFooterCookie } from "./footer.ts";
import { baseLosses, losses, OPTIONS, qemuArguments } from "./options.ts";
import { openVhd } from "./reader.ts";
import { Footer, HEADER_COOKIE, OLD_FOOTER_BYTES, tagText } from "./spec.ts";
import { createVhd } from "./writer.ts";

export const vhd: DiskFormat = {
  id: "vpc",
  label: "Hyper-V, Azure (VHD)",
  extensions: ["vhd", "avhd", "vpc"],
  spec: "https://www.microsoft.com/download/details.aspx?id=23850",
  probe,
  open: openVhd,
  check: checkVhd,
  target: { options: OPTIONS, losses, create: createVhd, contentIds: true, overBase: baseLosses, qemuArguments },
};

/** By a footer at the end (of 512 or 511 bytes), by its copy at the beginning, or by the dynamic disk header behind a copy that is damaged. */
function probe(head: Uint8Array, tail: Uint8Array): boolean {
  if (hasFooterCookie(head, 0) || hasFooterCookie(tail, tail.length - Footer.bytes)) return true;
  if (hasFooterCookie(tail, tail.length - OLD_FOOTER_BYTES)) return true;
  return head.length >= Footer.bytes + 8 && tagText(head.subarray(Footer.bytes, Footer.bytes + 8)) === HEADER_COOKIE;
}
