import { signal } from "@preact/signals";
import type { GivenFile, GivenFiles } from "../../platform/window/given-file.ts";
import type { ImageCard, OpenOptions } from "../../workers/engine-api.ts";
import { defaultTarget } from "../target-defaults.ts";
import { announce } from "./announcements.ts";
import { engine, formats, loadFormats } from "./engine.ts";
import { type Entry, isBusy, makeEntry, type Settings } from "./entry.ts";
import { isUnsaved, leaveOutputs } from "./outputs.ts";
import { rememberOpened } from "./recents.ts";
import { targets, watchPlan } from "./target.ts";

/** The cards, in the order in which their files came. */
export const entries = signal<readonly Entry[]>([]);

const stops = new Map<number, () => void>();

/**
 * Opens what was given: each file as an image, with all the others as companions. A file that another image turns out
 * to use gets no card of its own. Answers when all are open or have failed.
 */
export async function addFiles(given: GivenFiles, settings: Settings | null = null): Promise<readonly Entry[]> {
  const known = await loadFormats();
  const helped = helpWaiting(given.files);
  const fresh = given.files.filter((one) => !helped.wanted.has(one.file.name.toLowerCase()));
  const candidates = given.folder ? imagesAmong(fresh) : fresh;
  if (known.length === 0) return [];
  const added = candidates.map((one) =>
    makeEntry(
      one,
      given.files.filter((other) => other !== one),
      settings,
    ),
  );
  entries.value = [...entries.value, ...added];
  if (given.folder && added.length === 0 && helped.entries.length === 0) announce("No disk image was found in the folder.");
  // Descriptors and overlays are small: opened first, they claim their extents and parents before those are read for nothing.
  const order = [...added].sort((a, b) => a.given.value.file.size - b.given.value.file.size);
  for (const entry of [...helped.entries, ...order]) {
    if (entries.value.includes(entry)) await openEntry(entry);
  }
  return added.filter((entry) => entries.value.includes(entry));
}

/** Cards that ask for a missing file get everything that was given, when what they ask for is among it. */
function helpWaiting(files: readonly GivenFile[]): { readonly entries: readonly Entry[]; readonly wanted: ReadonlySet<string> } {
  const wanted = new Set<string>();
  const helped = entries.value.filter((entry) => {
    const name = missingName(entry)?.toLowerCase();
    if (name === undefined || !files.some((one) => one.file.name.toLowerCase() === name)) return false;
    wanted.add(name);
    entry.companions.value = [...entry.companions.value, ...files];
    return true;
  });
  return { entries: helped, wanted };
}

/** The last part of the name that a card's image asks for: a file is given by name, without its folder. */
export function missingName(entry: Entry): string | undefined {
  const failure = entry.failure.value as { readonly code?: unknown; readonly needs?: unknown } | null;
  if (failure?.code !== "missing-file" || typeof failure.needs !== "string") return undefined;
  return failure.needs.split(/[\\/]/).at(-1);
}

function imagesAmong(files: readonly GivenFile[]): readonly GivenFile[] {
  const endings = formats.value.flatMap((format) => format.extensions.map((extension) => `.${extension.replace(/^\./, "").toLowerCase()}`));
  return files.filter((one) => endings.some((ending) => one.file.name.toLowerCase().endsWith(ending)));
}

/** Opens, or opens again after a change of companions, snapshot or file. */
export async function openEntry(entry: Entry): Promise<void> {
  const before = entry.card.value;
  entry.card.value = null;
  entry.failure.value = null;
  if (before !== null) await engine().close(before.image);
  const { file, handle } = entry.given.value;
  const options = openOptions(entry);
  try {
    const companions = entry.companions.value.map((one) => one.file);
    const card = await engine().open(file, companions, options);
    if (!entries.value.includes(entry)) {
      await engine().close(card.image);
      return;
    }
    show(entry, card);
    if (handle !== null) await rememberOpened(handle, card);
  } catch (failure) {
    entry.failure.value = failure;
    announce(`${file.name} could not be opened.`);
  }
}

function openOptions(entry: Entry): OpenOptions {
  const format = entry.readAs.value;
  const snapshot = entry.snapshot.value;
  return { ...(format === "" ? {} : { format }), ...(snapshot === "" ? {} : { snapshot }) };
}

/** A browser never reads a file again that has changed under it; its handle gives the file as it is now. */
export async function reopenEntry(entry: Entry): Promise<void> {
  try {
    entry.given.value = await fresh(entry.given.value);
    entry.companions.value = await Promise.all(entry.companions.value.map(fresh));
  } catch (failure) {
    entry.failure.value = failure;
    return;
  }
  await openEntry(entry);
}

async function fresh(given: GivenFile): Promise<GivenFile> {
  return given.handle === null ? given : { file: await given.handle.getFile(), handle: given.handle };
}

/** For a file without a header that is a disk all the same. */
export function readAs(entry: Entry, format: string): Promise<void> {
  entry.readAs.value = format;
  return openEntry(entry);
}

function show(entry: Entry, card: ImageCard): void {
  if (!targets().some((format) => format.id === entry.format.value)) entry.format.value = defaultTarget(card.format, targets());
  entry.card.value = card;
  if (!stops.has(entry.key)) stops.set(entry.key, watchPlan(entry));
  announce(`${card.name} is open: ${card.label}.`);
  const used = new Set(card.files.filter((name) => name !== card.name));
  for (const other of entries.value) {
    const name = other.given.value.file.name;
    const isCompanion = entry.companions.value.some((one) => one.file === other.given.value.file);
    if (other !== entry && isCompanion && used.has(name) && !isBusy(other.job.value)) removeEntry(other);
  }
}

export function chooseSnapshot(entry: Entry, snapshot: string): Promise<void> {
  entry.snapshot.value = snapshot;
  return openEntry(entry);
}

/** Adds files to one card (the missing extent, the parent) and tries again. */
export function addCompanions(entry: Entry, files: readonly GivenFile[]): Promise<void> {
  entry.companions.value = [...entry.companions.value, ...files];
  return openEntry(entry);
}

/** Neither at work nor the only place of a result. */
export function isClosable(entry: Entry): boolean {
  return !isBusy(entry.job.value) && !isUnsaved(entry.job.value);
}

export function removeEntry(entry: Entry): void {
  if (!isClosable(entry)) return;
  stops.get(entry.key)?.();
  stops.delete(entry.key);
  entries.value = entries.value.filter((other) => other !== entry);
  const { value: card } = entry.card;
  const { value: job } = entry.job;
  if (job !== null) leaveOutputs(job);
  if (card !== null) void engine().close(card.image);
}

export async function addSample(): Promise<void> {
  const file = await engine().sample();
  await addFiles({ files: [{ file, handle: null }], folder: false });
}
