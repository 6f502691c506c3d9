import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Loss } from "../../core/target.ts";
import type { GivenFile } from "../../platform/window/given-file.ts";
import type {
  CheckCard,
  ComparisonCard,
  ConvertRequest,
  ImageCard,
  OutputPlace,
  PlanCard,
  Progress,
  ResultCard,
  SizeCard,
  TreeCard,
} from "../../workers/engine-api.ts";
import type { Task, Work } from "./tasks.ts";

/** What to make of an image, apart from its name: kept for "another one with the same settings". */
export interface Settings {
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
  readonly salvage: boolean;
  /** Id of the target; empty: just a file of the format. */
  readonly preset: string;
  readonly slim: boolean;
}

/** A chain that a card is of, and the files among which it was found. */
export interface ChainState {
  readonly search: number;
  readonly tree: TreeCard;
  /** As they were numbered in the search. */
  readonly files: readonly GivenFile[];
}

/** One card: a file that was given, what became of it, and what is to come out. */
export interface Entry {
  readonly key: number;
  readonly given: Signal<GivenFile>;
  readonly companions: Signal<readonly GivenFile[]>;
  /** It was found in a folder, not named by itself. */
  readonly fromFolder: boolean;
  /** Null: an image by itself. */
  readonly chain: Signal<ChainState | null>;
  /** The point in time: id of the layer that is taken for the newest. */
  readonly point: Signal<number>;
  /** Go on over parents that were changed. */
  readonly acceptChanged: Signal<boolean>;
  /** Format id that the user chose over what was recognised; empty: as recognised. */
  readonly readAs: Signal<string>;
  /** Internal snapshot; empty: the current state. */
  readonly snapshot: Signal<string>;
  /** The disks of the archive, once it was found to hold several, and which of them this card is; empty: not chosen. */
  readonly choices: Signal<readonly string[]>;
  readonly member: Signal<string>;
  /** Kept here and nowhere else, for opening again; empty: none was given. */
  readonly passphrase: Signal<string>;
  /** Follow a packed stream however large it becomes. */
  readonly anySize: Signal<boolean>;
  /** The opening that is under way. */
  readonly opening: Signal<Work | null>;
  /** Null while opening and after a failure. */
  readonly card: Signal<ImageCard | null>;
  readonly failure: Signal<unknown>;
  /** Format id; empty until the image is open. */
  readonly format: Signal<string>;
  /** Only what differs from the defaults. */
  readonly options: Signal<Readonly<Record<string, string>>>;
  readonly salvage: Signal<boolean>;
  /** Id of the target; empty: just a file of the format. */
  readonly preset: Signal<string>;
  /** Virtual size of the result; null: as it is, or as the target takes it. */
  readonly size: Signal<number | null>;
  /** What is wrong with the size that was typed, in words. */
  readonly sizeFault: Signal<string | null>;
  /** Null until it was asked for. */
  readonly limits: Signal<SizeCard | null>;
  readonly slim: Signal<boolean>;
  /** One image of everything, one for each layer, or only what differs from `base`. */
  readonly shape: Signal<"whole" | "layers" | "delta">;
  readonly base: Signal<Entry | null>;
  /** The comparison with `base` that a delta needs first. */
  readonly comparing: Signal<Task<void> | null>;
  /** File name without extension; null: made from the source's. */
  readonly stem: Signal<string | null>;
  /** Extension that the target's format and options give the file name. */
  readonly extension: Signal<string>;
  /** The target was set up as a repaired copy: what that will not carry. */
  readonly repair: Signal<readonly Loss[] | null>;
  readonly plan: Signal<PlanCard | null>;
  readonly planFailure: Signal<unknown>;
  /** Names in the picked folder that would be replaced, and what to do when that is wanted. */
  readonly question: Signal<{ readonly taken: readonly string[]; readonly go: () => void } | null>;
  readonly job: Signal<Job | null>;
  readonly check: Signal<Task<CheckCard | null> | null>;
  readonly comparison: Signal<Task<Comparison> | null>;
  /** The exact sizes of the files of `plan`. */
  readonly exact: Signal<Task<readonly number[]> | null>;
}

export interface Comparison extends ComparisonCard {
  /** Titles of the two cards. */
  readonly titles: readonly [string, string];
}

/** What a card is called: its file, and the disk in it when that is an archive of several. */
export function titleOf(entry: Entry): string {
  const tree = entry.chain.value?.tree;
  const { name } = tree?.layers.find(({ id }) => id === tree.current) ?? entry.given.value.file;
  return entry.member.value === "" ? name : `${name}: ${entry.member.value}`;
}

export interface Job {
  readonly number: number;
  readonly entry: Entry;
  readonly request: ConvertRequest;
  readonly plan: PlanCard;
  readonly place: OutputPlace;
  readonly state: Signal<"waiting" | "running" | "stopping" | "done" | "failed">;
  readonly progress: Signal<Progress | null>;
  /** When the job and its present phase began, milliseconds. */
  readonly startedAt: Signal<number>;
  readonly phaseAt: Signal<number>;
  readonly result: Signal<ResultCard | null>;
  readonly failure: Signal<unknown>;
  /** After a failure: the picked file may still hold something. */
  readonly leftover: Signal<boolean>;
  /** Files in the private store, in the order of `result.files`. */
  readonly outputs: Signal<readonly File[]>;
  readonly downloaded: Signal<ReadonlySet<number>>;
}

/** The part of progress that the block map draws. */
export interface Fill {
  readonly phase: "read" | "verify" | "done";
  readonly position: number;
}

let lastKey = 0;

export function makeEntry(
  given: GivenFile,
  companions: readonly GivenFile[],
  settings: Settings | null,
  fromFolder = false,
  chain: ChainState | null = null,
): Entry {
  lastKey += 1;
  return {
    key: lastKey,
    given: signal(given),
    companions: signal(companions),
    fromFolder,
    chain: signal(chain),
    point: signal(chain?.tree.current ?? -1),
    acceptChanged: signal(false),
    readAs: signal(""),
    snapshot: signal(""),
    choices: signal<readonly string[]>([]),
    member: signal(""),
    passphrase: signal(""),
    anySize: signal(false),
    opening: signal<Work | null>(null),
    card: signal<ImageCard | null>(null),
    failure: signal<unknown>(null),
    format: signal(settings?.format ?? ""),
    options: signal(settings?.options ?? {}),
    salvage: signal(settings?.salvage ?? false),
    preset: signal(settings?.preset ?? ""),
    size: signal<number | null>(null),
    sizeFault: signal<string | null>(null),
    limits: signal<SizeCard | null>(null),
    slim: signal(settings?.slim ?? false),
    shape: signal<Entry["shape"]["value"]>("whole"),
    base: signal<Entry | null>(null),
    comparing: signal<Task<void> | null>(null),
    stem: signal<string | null>(null),
    extension: signal(""),
    repair: signal<readonly Loss[] | null>(null),
    plan: signal<PlanCard | null>(null),
    planFailure: signal<unknown>(null),
    question: signal<{ readonly taken: readonly string[]; readonly go: () => void } | null>(null),
    job: signal<Job | null>(null),
    check: signal<Task<CheckCard | null> | null>(null),
    comparison: signal<Task<Comparison> | null>(null),
    exact: signal<Task<readonly number[]> | null>(null),
  };
}

export function makeJob(number: number, entry: Entry, request: ConvertRequest, plan: PlanCard, place: OutputPlace): Job {
  return {
    number,
    entry,
    request,
    plan,
    place,
    state: signal<Job["state"]["value"]>("waiting"),
    progress: signal<Progress | null>(null),
    startedAt: signal(Date.now()),
    phaseAt: signal(Date.now()),
    result: signal<ResultCard | null>(null),
    failure: signal<unknown>(null),
    leftover: signal(false),
    outputs: signal<readonly File[]>([]),
    downloaded: signal<ReadonlySet<number>>(new Set()),
  };
}

export function isBusy(job: Job | null): boolean {
  const state = job?.state.value;
  return state === "waiting" || state === "running" || state === "stopping";
}

/** What the block map shows of a job; null when there is none. */
export function fillOf(job: ReadonlySignal<Job | null>): Fill | null {
  const current = job.value;
  if (current === null) return null;
  if (current.state.value === "done") return { phase: "done", position: Number.POSITIVE_INFINITY };
  if (current.state.value === "failed") return null;
  const progress = current.progress.value;
  if (progress === null) return { phase: "read", position: 0 };
  if (progress.phase === "read" || progress.phase === "source") return { phase: "read", position: progress.position };
  return { phase: "verify", position: progress.phase === "verify" ? progress.position : 0 };
}
