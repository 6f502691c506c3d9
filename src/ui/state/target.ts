import { batch, effect } from "@preact/signals";
import type { ConvertRequest, FormatCard, ImageCard } from "../../workers/engine-api.ts";
import { suggestedStem } from "../target-defaults.ts";
import { engine, formatCard, formats, presetCard } from "./engine.ts";
import type { Entry } from "./entry.ts";
import { dropTask, runTask } from "./tasks.ts";

export function targets(): readonly FormatCard[] {
  return formats.value.filter((format) => format.options !== null);
}

/** The data of an image can be read: it can be converted. */
export function isReadable(card: ImageCard): boolean {
  return card.unsupported.length === 0 && !card.locked;
}

export function outputStem(entry: Entry): string {
  const { extension } = entry;
  if (entry.stem.value !== null || entry.preset.value === "") return entry.stem.value ?? defaultStem(entry, extension.value);
  const name = entry.plan.value?.files[0] ?? "";
  return name.endsWith(`.${extension.value}`) ? name.slice(0, -extension.value.length - 1) : name;
}

/** After the source; never the source's own name, nor that of the base. */
function defaultStem(entry: Entry, extension: string): string {
  const stem = suggestedStem(sourceName(entry), extension, formats.value);
  return entry.base.value?.given.value.file.name.toLowerCase() === `${stem}.${extension}`.toLowerCase() ? `${stem}-delta` : stem;
}

/** The file, or the disk in it that was chosen; without the folders that archives put before their names. */
function sourceName(entry: Entry): string {
  return entry.member.value.split(/[\\/]/).at(-1) || entry.given.value.file.name;
}

export function outputName(entry: Entry): string {
  return `${outputStem(entry)}.${entry.extension.value}`;
}

/** What the card asks for; null while it is not open. An empty name: the one that the preset's target takes. */
export function requestOf(entry: Entry, name = outputName(entry)): ConvertRequest | null {
  const card = entry.card.value;
  if (card === null) return null;
  const shape = entry.shape.value;
  return {
    image: card.image,
    format: entry.format.value,
    options: entry.options.value,
    salvage: entry.salvage.value,
    name,
    preset: entry.preset.value || undefined,
    size: shape === "whole" ? (entry.size.value ?? undefined) : undefined,
    slim: shape === "whole" && entry.slim.value ? true : undefined,
    keepLayers: shape === "layers" ? true : undefined,
    base: shape === "delta" ? (entry.base.value?.card.value?.image ?? undefined) : undefined,
  };
}

/** Asks for the plan whenever something it depends on changes; an answer that comes late is thrown away. Returns the way to stop. */
export function watchPlan(entry: Entry): () => void {
  let latest = 0;
  return effect(() => {
    const card = entry.card.value;
    const request = requestOf(entry, "");
    const chosenStem = entry.stem.value;
    latest += 1;
    const asked = latest;
    entry.plan.value = null;
    entry.planFailure.value = null;
    dropTask(entry.exact);
    dropTask(entry.comparing);
    if (card === null || request === null || request.format === "" || !isReadable(card) || isUndecided(entry)) return;
    const ask = async () => {
      const preset = presetCard(request.preset ?? "");
      const usual = await engine().extension(request.format, { ...preset?.options, ...request.options });
      if (request.base !== undefined && !(await isCompared(entry, card.image, request.base))) return;
      const named = preset === undefined ? null : await engine().plan(request);
      const extension = named === null ? usual : extensionOf(named.files[0] ?? "", usual);
      const stem = chosenStem ?? (named === null ? defaultStem(entry, extension) : null);
      const plan = named !== null && stem === null ? named : await engine().plan({ ...request, name: `${stem}.${extension}` });
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

/** A target may want another of its format's extensions than the usual one. */
function extensionOf(name: string, usual: string): string {
  return name.endsWith(`.${usual}`) ? usual : name.slice(name.lastIndexOf(".") + 1);
}

/** Something that the plan needs is not chosen yet, or not right. */
function isUndecided(entry: Entry): boolean {
  return entry.sizeFault.value !== null || (entry.shape.value === "delta" && entry.base.value?.card.value == null);
}

/** Finds where the disk differs from its base. False: the user did not want to wait, or there is another plan by now. */
async function isCompared(entry: Entry, image: number, base: number): Promise<boolean> {
  await runTask(entry.comparing, "Comparing with the base", (job, report) => engine().differences(job, image, base, report));
  const outcome = entry.comparing.value?.outcome ?? null;
  if (outcome !== null && "failure" in outcome) throw outcome.failure;
  return outcome !== null;
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

/** What was found out or asked about one image does not hold for the next. */
export function endWork(entry: Entry): void {
  dropTask(entry.check);
  dropTask(entry.comparison);
  dropTask(entry.exact);
  entry.limits.value = null;
  entry.size.value = null;
  entry.sizeFault.value = null;
  forgetRepair(entry);
}

export function chooseFormat(entry: Entry, format: string): void {
  batch(() => {
    forgetRepair(entry);
    entry.options.value = {};
    entry.format.value = format;
    entry.preset.value = "";
    if (formatCard(format)?.layers !== true) wholeDisk(entry);
  });
}

/** The target settles format and options; the size it may round up. */
export function choosePreset(entry: Entry, id: string): void {
  const preset = presetCard(id);
  if (preset === undefined) return;
  batch(() => {
    forgetRepair(entry);
    entry.options.value = {};
    entry.format.value = preset.format;
    entry.preset.value = id;
    wholeDisk(entry);
  });
}

/** One image of everything. */
export function wholeDisk(entry: Entry): void {
  batch(() => {
    entry.shape.value = "whole";
    entry.base.value = null;
  });
}

/** Options that have their default value are left out of the request. */
export function chooseOption(entry: Entry, name: string, value: string): void {
  const initial = formatCard(entry.format.value)?.options?.find((option) => option.name === name)?.initial;
  const { [name]: _, ...others } = entry.options.value;
  entry.options.value = value === initial ? others : { ...others, [name]: value };
}
