import { effect } from "@preact/signals";
import type { FormatCard, ImageCard } from "../../workers/engine-api.ts";
import { engine, extensionOf, formatCard, formats } from "./engine.ts";
import type { Entry } from "./entry.ts";

/** Browsers hash a picked file once more when it is closed: measured at 8 s per GiB of its length. */
const CLOSE_SECONDS_PER_GIB = 8;

export function closingSeconds(logicalBytes: number): number {
  return (logicalBytes / 1024 ** 3) * CLOSE_SECONDS_PER_GIB;
}

export function targets(): readonly FormatCard[] {
  return formats.value.filter((format) => format.options !== null);
}

/** Compact formats first, and never the format that the image already has when there is another. */
const PREFERRED = ["qcow2", "vmdk", "vdi"];

export function defaultTarget(source: string, offered: readonly FormatCard[]): string {
  const ids = offered.map((format) => format.id);
  const others = ids.filter((id) => id !== source);
  return PREFERRED.find((id) => others.includes(id)) ?? others[0] ?? ids[0] ?? "";
}

/** The data of an image can be read: it can be converted. */
export function isReadable(card: ImageCard): boolean {
  return card.unsupported.length === 0 && !card.encrypted;
}

/** The source's name without the extension of a known format; marked when the result would have the source's own name. */
export function suggestedStem(source: string, extension: string, known: readonly FormatCard[]): string {
  const dot = source.lastIndexOf(".");
  const ending = dot > 0 ? source.slice(dot + 1).toLowerCase() : "";
  const isKnown = known.some((format) => format.extensions.some((other) => other.replace(/^\./, "").toLowerCase() === ending));
  const stem = isKnown ? source.slice(0, dot) : source;
  return `${stem}.${extension}`.toLowerCase() === source.toLowerCase() ? `${stem}-converted` : stem;
}

export function outputStem(entry: Entry): string {
  const format = formatCard(entry.format.value);
  return entry.stem.value ?? suggestedStem(entry.given.value.file.name, format ? extensionOf(format) : "", formats.value);
}

export function outputName(entry: Entry): string {
  const format = formatCard(entry.format.value);
  return format === undefined ? "" : `${outputStem(entry)}.${extensionOf(format)}`;
}

/** Asks for the plan whenever something it depends on changes; an answer that comes late is thrown away. Returns the way to stop. */
export function watchPlan(entry: Entry): () => void {
  let latest = 0;
  return effect(() => {
    const card = entry.card.value;
    const format = entry.format.value;
    const request = { format, options: entry.options.value, name: outputName(entry), salvage: entry.salvage.value };
    latest += 1;
    const asked = latest;
    entry.plan.value = null;
    entry.planFailure.value = null;
    if (card === null || format === "" || !isReadable(card)) return;
    engine()
      .plan({ image: card.image, ...request })
      .then(
        (plan) => {
          if (asked === latest) entry.plan.value = plan;
        },
        (failure: unknown) => {
          if (asked === latest) entry.planFailure.value = failure;
        },
      );
  });
}

/** Asks once more with the same settings. */
export function planAgain(entry: Entry): void {
  entry.options.value = { ...entry.options.value };
}

export function chooseFormat(entry: Entry, format: string): void {
  entry.options.value = {};
  entry.format.value = format;
}

/** Options that have their default value are left out of the request. */
export function chooseOption(entry: Entry, name: string, value: string): void {
  const initial = formatCard(entry.format.value)?.options?.find((option) => option.name === name)?.initial;
  const { [name]: _, ...others } = entry.options.value;
  entry.options.value = value === initial ? others : { ...others, [name]: value };
}

/** How a format is named in a sentence: "qcow2", "raw", but "VMDK". */
export function shortName(format: string): string {
  return /^(qcow2?|raw|qed)$/.test(format) ? format : format.toUpperCase();
}
