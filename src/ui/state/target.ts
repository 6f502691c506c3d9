import { batch, effect } from "@preact/signals";
import type { FormatCard, ImageCard } from "../../workers/engine-api.ts";
import { suggestedStem } from "../target-defaults.ts";
import { engine, formatCard, formats } from "./engine.ts";
import type { Entry } from "./entry.ts";
import { dropTask } from "./tasks.ts";

export function targets(): readonly FormatCard[] {
  return formats.value.filter((format) => format.options !== null);
}

/** The data of an image can be read: it can be converted. */
export function isReadable(card: ImageCard): boolean {
  return card.unsupported.length === 0 && !card.locked;
}

export function outputStem(entry: Entry): string {
  return entry.stem.value ?? suggestedStem(sourceName(entry), entry.extension.value, formats.value);
}

/** The file, or the disk in it that was chosen; without the folders that archives put before their names. */
function sourceName(entry: Entry): string {
  return entry.member.value.split(/[\\/]/).at(-1) || entry.given.value.file.name;
}

export function outputName(entry: Entry): string {
  return `${outputStem(entry)}.${entry.extension.value}`;
}

/** Asks for the plan whenever something it depends on changes; an answer that comes late is thrown away. Returns the way to stop. */
export function watchPlan(entry: Entry): () => void {
  let latest = 0;
  return effect(() => {
    const card = entry.card.value;
    const format = entry.format.value;
    const options = entry.options.value;
    const salvage = entry.salvage.value;
    const chosenStem = entry.stem.value;
    latest += 1;
    const asked = latest;
    entry.plan.value = null;
    entry.planFailure.value = null;
    dropTask(entry.exact);
    if (card === null || format === "" || !isReadable(card)) return;
    const ask = async () => {
      const extension = await engine().extension(format, options);
      const stem = chosenStem ?? suggestedStem(sourceName(entry), extension, formats.value);
      const plan = await engine().plan({ image: card.image, format, options, salvage, name: `${stem}.${extension}` });
      if (asked !== latest) return;
      batch(() => {
        entry.extension.value = extension;
        entry.plan.value = plan;
      });
    };
    ask().catch((failure: unknown) => {
      if (asked === latest) entry.planFailure.value = failure;
    });
  });
}

/** Asks once more with the same settings. */
export function planAgain(entry: Entry): void {
  entry.options.value = { ...entry.options.value };
}

/** The target is no longer set up for a repaired copy, nor named like one. */
export function forgetRepair(entry: Entry): void {
  if (entry.repair.value === null) return;
  entry.repair.value = null;
  entry.stem.value = null;
}

export function chooseFormat(entry: Entry, format: string): void {
  batch(() => {
    forgetRepair(entry);
    entry.options.value = {};
    entry.format.value = format;
  });
}

/** Options that have their default value are left out of the request. */
export function chooseOption(entry: Entry, name: string, value: string): void {
  const initial = formatCard(entry.format.value)?.options?.find((option) => option.name === name)?.initial;
  const { [name]: _, ...others } = entry.options.value;
  entry.options.value = value === initial ? others : { ...others, [name]: value };
}
