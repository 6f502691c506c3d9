import { signal } from "@preact/signals";
import type { GivenFile, GivenFiles } from "../../platform/window/given-file.ts";
import type { FoundCard, ImageCard, OpenOptions, Progress } from "../../workers/engine-api.ts";
import { defaultTarget, formatNamed } from "../target-defaults.ts";
import { announce } from "./announcements.ts";
import { fileOf, filesOf, findImages, findWithOpen, hindrances, namelessNeed, neededBy, withFiles } from "./chains.ts";
import { engine, formats, loadFormats, nextJobNumber } from "./engine.ts";
import { type ChainState, type Entry, isBusy, makeEntry, type Settings, titleOf } from "./entry.ts";
import { choicesOf, kindOf, membersOf, missingName } from "./failures.ts";
import { currentFile } from "./handles.ts";
import { isUnsaved, leaveOutputs } from "./outputs.ts";
import { rememberOpened } from "./recents.ts";
import { endWork, targets, watchPlan, wholeDisk } from "./target.ts";

/** Some images are folders: these files in them are what is opened. */
const BUNDLE_FILES = /^(DiskDescriptor\.xml|Info\.plist)$/;

/** What may be a parent of which only the UUID is known. */
const VDI = /\.vdi$/i;

/** The cards, in the order in which their files came. */
export const entries = signal<readonly Entry[]>([]);

const stops = new Map<number, () => void>();

/**
 * Opens what was given: every chain on one card, every other image on its own. A file that is only a part of an image gets none, nor does
 * a machine's description. Answers when all are open or have failed.
 */
export async function addFiles(given: GivenFiles, settings: Settings | null = null): Promise<readonly Entry[]> {
  const known = await loadFormats();
  if (known.length === 0) return [];
  const helped = helpWaiting(given.files);
  for (const entry of helped.entries) await openEntry(entry);
  const shown = new Set(entries.value.flatMap(({ chain }) => (chain.value === null ? [] : [...filesOf(chain.value)])));
  const fresh = given.files.filter(({ file }) => !helped.wanted.has(file.name.toLowerCase()) && !shown.has(file));
  const isOpen = ({ chain, member, job }: Entry): boolean => chain.value === null && member.value === "" && !isBusy(job.value);
  const open = entries.value.filter(isOpen).map((entry) => entry.given.value);
  const { files, found } = await findWithOpen(fresh, open);
  const added = cardsFor(files, fresh.length, found, given, settings);
  entries.value = [...entries.value, ...added];
  for (const { chain } of added) if (chain.value !== null) dropCardsOf(chain.value);
  if (given.folder && added.length === 0 && helped.entries.length === 0) announce("No disk image was found in the folder.");
  // Descriptors are small: opened first, they claim their extents before those are read for nothing.
  const order = [...added].sort((one, other) => one.given.value.file.size - other.given.value.file.size);
  for (const entry of order) {
    if (entries.value.includes(entry)) await openEntry(entry);
    if (isBystander(entry)) removeEntry(entry);
  }
  return [...helped.entries, ...added.filter((entry) => entries.value.includes(entry))];
}

/** In the order in which their files were given; none for what has nothing to do with the first `fresh` files. */
function cardsFor(files: readonly GivenFile[], fresh: number, found: FoundCard, given: GivenFiles, settings: Settings | null): Entry[] {
  const { search, trees, alone, others } = found;
  const cards: { readonly place: number; readonly entry: Entry }[] = [];
  const add = (place: number, chain: ChainState | null): void => {
    const one = files[place] as GivenFile;
    const companions = (chain?.files ?? given.files).filter((other) => other !== one);
    cards.push({ place, entry: makeEntry(one, companions, settings, given.folder, chain) });
  };
  for (const tree of trees) {
    const current = tree.layers.find(({ id }) => id === tree.current);
    if (current !== undefined && tree.layers.some(({ file }) => file < fresh)) add(current.file, { search, tree, files });
  }
  if (cards.length === 0) void engine().forget(search);
  // In a folder lies much that has nothing to do with disks.
  const asked = given.folder ? others.filter((place) => mayHoldImage(files[place] as GivenFile)) : others;
  for (const place of [...alone, ...asked]) if (place < fresh) add(place, null);
  return cards.sort((a, b) => a.place - b.place).map(({ entry }) => entry);
}

/** Cards that ask for a missing file get everything that was given, when what they ask for is among it. */
function helpWaiting(files: readonly GivenFile[]): { readonly entries: readonly Entry[]; readonly wanted: ReadonlySet<string> } {
  const wanted = new Set<string>();
  const helped = entries.value.filter((entry) => {
    const names = missingNames(entry).map((name) => name.toLowerCase());
    const isNameless = hindrances(entry).some((problem) => namelessNeed(problem) !== null) && files.some((one) => VDI.test(one.file.name));
    const met = names.filter((name) => files.some((one) => one.file.name.toLowerCase() === name));
    if (!isNameless && met.length === 0) return false;
    for (const name of met) wanted.add(name);
    give(entry, files);
    return true;
  });
  return { entries: helped, wanted };
}

/** The last parts of the names that a card's image asks for: a file is given by name, without its folder. */
function missingNames(entry: Entry): readonly string[] {
  const own = missingName(entry.failure.value);
  const needed = hindrances(entry).flatMap((problem) => neededBy(problem) ?? []);
  return own === undefined ? needed : [own, ...needed];
}

function mayHoldImage({ file }: GivenFile): boolean {
  return BUNDLE_FILES.test(file.name) || formatNamed(file.name, formats.value) !== undefined;
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
    if (entry.chain.value !== null && incomplete.has(entry)) await findAgain(entry, entry.chain.value);
    if (hindrances(entry).length > 0) {
      announce(`${titleOf(entry)}: its chain cannot be read as it is.`);
      return;
    }
    const card = await read(entry, entry.passphrase.value);
    if (card !== null) await show(entry, card);
  } catch (failure) {
    fail(entry, failure);
  }
}

/** Cards of chains whose files have changed or become more since they were put in order. */
const incomplete = new WeakSet<Entry>();

/** Puts the card's files in order once more; the layers keep their places among them. */
async function findAgain(entry: Entry, before: ChainState): Promise<void> {
  const fileAt = (id: number) => before.tree.layers.find((layer) => layer.id === id)?.file;
  const [top, chosen] = [fileAt(before.tree.current), fileAt(entry.point.value)];
  const { search, trees } = await findImages(before.files);
  incomplete.delete(entry);
  const tree = trees.find(({ layers }) => layers.some(({ file }) => file === top));
  if (tree === undefined) throw new Error("the image is not among its files any more");
  const layer = tree.layers.find(({ file }) => file === chosen && chosen !== top);
  entry.chain.value = { search, tree, files: before.files };
  entry.point.value = layer?.id ?? tree.current;
  forgetSearch(before);
  takePoint(entry);
  dropCardsOf({ search, tree, files: before.files });
}

/** The cards that files have of their own though they are layers of this chain. */
function dropCardsOf(chain: ChainState): void {
  const used = filesOf(chain);
  for (const other of entries.value) if (other.chain.value === null && used.has(other.given.value.file)) removeEntry(other);
}

/** The card is about the file of its point in time. */
function takePoint(entry: Entry): void {
  const chain = entry.chain.value;
  const layer = chain?.tree.layers.find(({ id }) => id === entry.point.value);
  if (chain === null || layer === undefined) return;
  entry.given.value = fileOf(chain, layer);
  entry.companions.value = chain.files.filter((one) => one !== entry.given.value);
}

/** The engine need not keep what no card shows. */
function forgetSearch({ search }: ChainState): void {
  if (!entries.value.some(({ chain }) => chain.value?.search === search)) void engine().forget(search);
}

/** The disk as it was when this layer was its newest. */
export function choosePoint(entry: Entry, id: number): Promise<void> {
  if (entry.point.value === id && entry.card.value !== null) return Promise.resolve();
  entry.point.value = id;
  entry.snapshot.value = "";
  takePoint(entry);
  return entry.card.value === null || hindrances(entry).length > 0 ? openEntry(entry) : changeOver(entry);
}

/** Opens another layer; until that is done the card stays as it is, and what is unfolded on it does so afterwards. */
async function changeOver(entry: Entry): Promise<void> {
  try {
    const card = await read(entry, entry.passphrase.value);
    if (card === null) return;
    const before = entry.card.value;
    endWork(entry);
    await show(entry, card);
    if (before !== null) await engine().close(before.image);
  } catch (failure) {
    await closeCard(entry);
    fail(entry, failure);
  }
}

/** Reads the chain though a parent was changed; the result says so. */
export function goOnAnyway(entry: Entry): Promise<void> {
  entry.acceptChanged.value = true;
  return openEntry(entry);
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
  try {
    const card = await openWith(entry, passphrase, job);
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

function openWith(entry: Entry, passphrase: string, job: number): Promise<ImageCard> {
  const report = (progress: Progress): void => {
    if (entry.opening.value?.job === job) entry.opening.value = { job, progress };
  };
  const options = openOptions(entry, passphrase);
  const chain = entry.chain.value;
  if (chain === null) {
    const companions = entry.companions.value.map((one) => one.file);
    return engine().open(job, entry.given.value.file, companions, options, report);
  }
  const layer = { ...options, acceptChangedParents: entry.acceptChanged.value };
  return engine().openLayer(job, chain.search, entry.point.value, layer, report);
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
  endWork(entry);
  entry.card.value = null;
  if (card !== null) await engine().close(card.image);
}

/** The user does not want to wait for it any longer. */
export function stopOpening(entry: Entry): void {
  if (entry.opening.value !== null) void engine().cancel(entry.opening.value.job);
}

/** A browser never reads a file again that has changed under it; its handle gives the file as it is now. */
export async function reopenEntry(entry: Entry): Promise<void> {
  try {
    const chain = entry.chain.value;
    if (chain === null) {
      entry.given.value = await fresh(entry.given.value);
      entry.companions.value = await Promise.all(entry.companions.value.map(fresh));
    } else {
      entry.chain.value = { ...chain, files: await Promise.all(chain.files.map(fresh)) };
      incomplete.add(entry);
    }
  } catch (failure) {
    entry.failure.value = failure;
    return;
  }
  await openEntry(entry);
}

async function fresh(given: GivenFile): Promise<GivenFile> {
  return given.handle === null ? given : { ...given, ...(await currentFile(given.handle)) };
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
  give(entry, files);
  return openEntry(entry);
}

function give(entry: Entry, files: readonly GivenFile[]): void {
  const chain = entry.chain.value;
  entry.companions.value = withFiles(entry.companions.value, files);
  if (chain === null) return;
  entry.chain.value = { ...chain, files: withFiles(chain.files, files) };
  incomplete.add(entry);
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
  if (entry.chain.value !== null) forgetSearch(entry.chain.value);
  for (const other of entries.value) if (other.base.value === entry) wholeDisk(other);
  stopOpening(entry);
  entry.passphrase.value = "";
  void closeCard(entry);
}

export async function addSample(): Promise<void> {
  const file = await engine().sample();
  await addFiles({ files: [{ file, handle: null }], folder: false });
}
