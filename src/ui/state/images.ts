import { signal } from "@preact/signals";
import type { GivenFile, GivenFiles } from "../../platform/window/given-file.ts";
import type { ImageCard, OpenOptions } from "../../workers/engine-api.ts";
import { defaultTarget, formatNamed } from "../target-defaults.ts";
import { announce } from "./announcements.ts";
import { engine, formats, loadFormats, nextJobNumber } from "./engine.ts";
import { type Entry, isBusy, makeEntry, type Settings, titleOf } from "./entry.ts";
import { choicesOf, kindOf, membersOf, namelessParent } from "./failures.ts";
import { currentFile } from "./handles.ts";
import { isUnsaved, leaveOutputs } from "./outputs.ts";
import { rememberOpened } from "./recents.ts";
import { forgetRepair, targets, watchPlan } from "./target.ts";
import { dropTask } from "./tasks.ts";

/** Some images are folders: these files in them are what is opened. */
const BUNDLE_FILES = /^(DiskDescriptor\.xml|Info\.plist)$/;

/** What may be a parent of which only the UUID is known. */
const VDI = /\.vdi$/i;

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
      given.folder,
    ),
  );
  entries.value = [...entries.value, ...added];
  if (given.folder && added.length === 0 && helped.entries.length === 0) announce("No disk image was found in the folder.");
  // Descriptors and overlays are small: opened first, they claim their extents and parents before those are read for nothing.
  const order = [...added].sort((a, b) => a.given.value.file.size - b.given.value.file.size);
  for (const entry of [...helped.entries, ...order]) {
    if (entries.value.includes(entry)) await openEntry(entry);
    if (isBystander(entry)) removeEntry(entry);
  }
  return added.filter((entry) => entries.value.includes(entry));
}

/** Cards that ask for a missing file get everything that was given, when what they ask for is among it. */
function helpWaiting(files: readonly GivenFile[]): { readonly entries: readonly Entry[]; readonly wanted: ReadonlySet<string> } {
  const wanted = new Set<string>();
  const helped = entries.value.filter((entry) => {
    const name = missingName(entry)?.toLowerCase();
    const nameless = namelessParent(entry.failure.value) !== null && files.some((one) => VDI.test(one.file.name));
    if (name === undefined || !(nameless || files.some((one) => one.file.name.toLowerCase() === name))) return false;
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
  return files.filter(({ file }) => BUNDLE_FILES.test(file.name) || formatNamed(file.name, formats.value) !== undefined);
}

/** A file that lay in a folder, may have to do with disks or not, and shows no sign of one: nobody has asked about it. */
function isBystander(entry: Entry): boolean {
  const { name } = entry.given.value.file;
  if (!entry.fromFolder || !(BUNDLE_FILES.test(name) || formatNamed(name, formats.value)?.wraps)) return false;
  const card = entry.card.value;
  if (card === null) return kindOf(entry.failure.value) === "wrong-format";
  return card.format === "raw" && card.partitions === null;
}

/** Opens, or opens again after a change of companions, snapshot or file. */
export async function openEntry(entry: Entry): Promise<void> {
  await closeCard(entry);
  entry.failure.value = null;
  try {
    const card = await read(entry, entry.passphrase.value);
    if (card !== null) await show(entry, card);
  } catch (failure) {
    fail(entry, failure);
  }
}

/** Opens with a passphrase; until that has worked the card stays as it is. False: the passphrase is wrong. */
export async function unlock(entry: Entry, passphrase: string): Promise<boolean> {
  try {
    const card = await read(entry, passphrase);
    if (card === null) return true;
    await closeCard(entry);
    entry.failure.value = null;
    entry.passphrase.value = passphrase;
    await show(entry, card);
  } catch (failure) {
    if (kindOf(failure) === "passphrase") return false;
    await closeCard(entry);
    fail(entry, failure);
  }
  return true;
}

/** Null: the card was closed meanwhile. */
async function read(entry: Entry, passphrase: string): Promise<ImageCard | null> {
  stopOpening(entry);
  const job = nextJobNumber();
  entry.opening.value = { job, progress: null };
  const companions = entry.companions.value.map((one) => one.file);
  try {
    const card = await engine().open(job, entry.given.value.file, companions, openOptions(entry, passphrase), (progress) => {
      if (entry.opening.value?.job === job) entry.opening.value = { job, progress };
    });
    // Another opening of the same card began meanwhile, or the card has gone.
    if (entries.value.includes(entry) && entry.opening.value?.job === job) return card;
    await engine().close(card.image);
    return null;
  } catch (failure) {
    if (entries.value.includes(entry) && entry.opening.value?.job === job) throw failure;
    return null;
  } finally {
    if (entry.opening.value?.job === job) entry.opening.value = null;
  }
}

function openOptions(entry: Entry, passphrase: string): OpenOptions {
  const format = entry.readAs.value;
  const snapshot = entry.snapshot.value;
  const member = entry.member.value;
  return {
    ...(format === "" ? {} : { format }),
    ...(snapshot === "" ? {} : { snapshot }),
    ...(member === "" ? {} : { member }),
    ...(passphrase === "" ? {} : { passphrase }),
    anySize: entry.anySize.value,
  };
}

function fail(entry: Entry, failure: unknown): void {
  const choices = choicesOf(failure);
  entry.choices.value = membersOf(failure) ?? entry.choices.value;
  entry.failure.value = failure;
  const title = titleOf(entry);
  announce(choices !== null ? `${title} holds ${choices.length} disks: choose one.` : `${title} could not be opened.`);
}

/** Ends what is done with the card's image, and the image. */
async function closeCard(entry: Entry): Promise<void> {
  const card = entry.card.value;
  dropTask(entry.check);
  dropTask(entry.comparison);
  dropTask(entry.exact);
  entry.card.value = null;
  forgetRepair(entry);
  if (card !== null) await engine().close(card.image);
}

/** The user does not want to wait for it any longer. */
export function stopOpening(entry: Entry): void {
  if (entry.opening.value !== null) void engine().cancel(entry.opening.value.job);
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
  return given.handle === null ? given : currentFile(given.handle);
}

/** For a file without a header that is a disk all the same. */
export function readAs(entry: Entry, format: string): Promise<void> {
  entry.readAs.value = format;
  return openEntry(entry);
}

async function show(entry: Entry, card: ImageCard): Promise<void> {
  if (!targets().some((format) => format.id === entry.format.value)) entry.format.value = defaultTarget(card.format, targets());
  entry.card.value = card;
  if (!stops.has(entry.key)) stops.set(entry.key, watchPlan(entry));
  announce(card.locked ? `${titleOf(entry)} is encrypted: enter its passphrase.` : `${titleOf(entry)} is open: ${card.label}.`);
  const used = new Set(card.files.filter((name) => name !== card.name));
  for (const other of entries.value) {
    const name = other.given.value.file.name;
    const isCompanion = entry.companions.value.some((one) => one.file === other.given.value.file);
    if (other !== entry && isCompanion && used.has(name) && !isBusy(other.job.value)) removeEntry(other);
  }
  const { handle } = entry.given.value;
  if (handle !== null) await rememberOpened(handle, card);
}

export function chooseSnapshot(entry: Entry, snapshot: string): Promise<void> {
  entry.snapshot.value = snapshot;
  return openEntry(entry);
}

/** Opens one of the disks of an archive; empty: asks again which. */
export function chooseMember(entry: Entry, member: string): Promise<void> {
  entry.member.value = member;
  entry.snapshot.value = "";
  entry.passphrase.value = "";
  entry.stem.value = null;
  return openEntry(entry);
}

/** Each disk of an archive on a card of its own. */
export async function openAllMembers(entry: Entry): Promise<void> {
  const [first = "", ...rest] = entry.choices.value;
  const more = rest.map((member) => {
    const other = makeEntry(entry.given.value, entry.companions.value, null);
    other.choices.value = entry.choices.value;
    other.member.value = member;
    other.anySize.value = entry.anySize.value;
    return other;
  });
  entries.value = entries.value.flatMap((one) => (one === entry ? [entry, ...more] : [one]));
  await chooseMember(entry, first);
  for (const other of more) if (entries.value.includes(other)) await openEntry(other);
}

/** Follows a packed stream however large it becomes. */
export function unpackAnyway(entry: Entry): Promise<void> {
  entry.anySize.value = true;
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
  const { value: job } = entry.job;
  if (job !== null) leaveOutputs(job);
  stopOpening(entry);
  entry.passphrase.value = "";
  void closeCard(entry);
}

export async function addSample(): Promise<void> {
  const file = await engine().sample();
  await addFiles({ files: [{ file, handle: null }], folder: false });
}
