import { effect } from "@preact/signals";
import type { FormatCard, ImageCard } from "../../workers/engine-api.ts";
import { suggestedStem } from "../target-defaults.ts";
import { engine, extensionOf, formatCard, formats } from "./engine.ts";
import type { Entry } from "./entry.ts";

export function targets(): readonly FormatCard[] {
  return formats.value.filter((format) => format.options !== null);
}

/** The data of an image can be read: it can be converted. */
export function isReadable(card: ImageCard): boolean {
  return card.unsupported.length === 0 && !card.encrypted;
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
