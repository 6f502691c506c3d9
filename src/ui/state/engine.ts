import { signal } from "@preact/signals";
import { startEngine } from "../../workers/client.ts";
import type { Engine, FormatCard, PresetCard } from "../../workers/engine-api.ts";

let started: Engine | null = null;

/** Started at first use: on a first visit that is after the reload that brings the network lock. */
export function engine(): Engine {
  started ??= startEngine();
  return started;
}

/** Every format, in the order in which they are offered; empty until `loadFormats` has answered. */
export const formats = signal<readonly FormatCard[]>([]);

/** Where disks are taken to, in the order in which that is offered; empty until `loadFormats` has answered. */
export const presets = signal<readonly PresetCard[]>([]);

export async function loadFormats(): Promise<readonly FormatCard[]> {
  if (formats.value.length === 0) [formats.value, presets.value] = await Promise.all([engine().formats(), engine().presets()]);
  return formats.value;
}

export function presetCard(id: string): PresetCard | undefined {
  return presets.value.find((preset) => preset.id === id);
}

export function formatCard(id: string): FormatCard | undefined {
  return formats.value.find((format) => format.id === id);
}

let lastJob = 0;

/** The engine knows jobs by a number that the caller chooses. */
export function nextJobNumber(): number {
  lastJob += 1;
  return lastJob;
}
