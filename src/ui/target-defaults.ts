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
  const stem = withoutExtensions(source, known);
  return `${stem}.${extension}`.toLowerCase() === source.toLowerCase() ? `${stem}-converted` : stem;
}

/** "web.img.gz" → "web": behind the extension of a wrapping may stand that of what it wraps. */
function withoutExtensions(name: string, known: readonly FormatCard[]): string {
  const format = formatNamed(name, known);
  if (format === undefined) return name;
  const stem = name.slice(0, name.lastIndexOf("."));
  return format.wraps ? withoutExtensions(stem, known) : stem;
}

/** The format whose extension a file name has. */
export function formatNamed(name: string, known: readonly FormatCard[]): FormatCard | undefined {
  const dot = name.lastIndexOf(".");
  const ending = dot > 0 ? name.slice(dot + 1).toLowerCase() : "";
  return known.find((format) => format.extensions.includes(ending));
}

/** What most people want, in this order; the others stand behind them. */
const COMMON = ["qcow2", "vmdk", "vdi", "vhdx", "vpc", "raw"];

/** The targets as they are offered. */
export function groupTargets(offered: readonly FormatCard[]): {
  readonly common: readonly FormatCard[];
  readonly more: readonly FormatCard[];
} {
  const common = COMMON.flatMap((id) => offered.filter((format) => format.id === id));
  const more = offered.filter((format) => !COMMON.includes(format.id));
  return { common, more: more.toSorted((a, b) => a.label.localeCompare(b.label, "en")) };
}

const IN_SENTENCES: Readonly<Record<string, string>> = {
  qcow: "qcow",
  qcow2: "qcow2",
  raw: "raw",
  vpc: "VHD",
  parallels: "Parallels",
  "android-sparse": "Android sparse",
};

/** How a format is named in a sentence: "qcow2", "raw", but "VMDK". */
export function shortName(format: string): string {
  return IN_SENTENCES[format] ?? format.toUpperCase();
}
