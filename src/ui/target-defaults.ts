import type { FormatCard } from "../workers/engine-api.ts";

/** Browsers hash a picked file once more when it is closed: measured at 8 s per GiB of its length. */
const CLOSE_SECONDS_PER_GIB = 8;

export function closingSeconds(logicalBytes: number): number {
  return (logicalBytes / 1024 ** 3) * CLOSE_SECONDS_PER_GIB;
}

/** Compact formats first, and never the format that the image already has when there is another. */
const PREFERRED = ["qcow2", "vmdk", "vdi"];

export function defaultTarget(source: string, offered: readonly FormatCard[]): string {
  const ids = offered.map((format) => format.id);
  const others = ids.filter((id) => id !== source);
  return PREFERRED.find((id) => others.includes(id)) ?? others[0] ?? ids[0] ?? "";
}

/** The source's name without the extension of a known format; marked when the result would have the source's own name. */
export function suggestedStem(source: string, extension: string, known: readonly FormatCard[]): string {
  const dot = source.lastIndexOf(".");
  const ending = dot > 0 ? source.slice(dot + 1).toLowerCase() : "";
  const isKnown = known.some((format) => format.extensions.some((other) => other.replace(/^\./, "").toLowerCase() === ending));
  const stem = isKnown ? source.slice(0, dot) : source;
  return `${stem}.${extension}`.toLowerCase() === source.toLowerCase() ? `${stem}-converted` : stem;
}

/** How a format is named in a sentence: "qcow2", "raw", but "VMDK". */
export function shortName(format: string): string {
  return /^(qcow2?|raw|qed)$/.test(format) ? format : format.toUpperCase();
}
