import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { GivenFile } from "../../platform/window/given-file.ts";
import type { ConvertRequest, ImageCard, OutputPlace, PlanCard, Progress, ResultCard } from "../../workers/engine-api.ts";

/** What to make of an image, apart from its name: kept for "another one with the same settings". */
export interface Settings {
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
  readonly salvage: boolean;
}

/** One card: a file that was given, what became of it, and what is to come out. */
export interface Entry {
  readonly key: number;
  readonly given: Signal<GivenFile>;
  readonly companions: Signal<readonly GivenFile[]>;
  /** Format id that the user chose over what was recognised; empty: as recognised. */
  readonly readAs: Signal<string>;
  /** Internal snapshot; empty: the current state. */
  readonly snapshot: Signal<string>;
  /** Null while opening and after a failure. */
  readonly card: Signal<ImageCard | null>;
  readonly failure: Signal<unknown>;
  /** Format id; empty until the image is open. */
  readonly format: Signal<string>;
  /** Only what differs from the defaults. */
  readonly options: Signal<Readonly<Record<string, string>>>;
  readonly salvage: Signal<boolean>;
  /** File name without extension; null: made from the source's. */
  readonly stem: Signal<string | null>;
  readonly plan: Signal<PlanCard | null>;
  readonly planFailure: Signal<unknown>;
  /** Names in the picked folder that would be replaced, and what to do when that is wanted. */
  readonly question: Signal<{ readonly taken: readonly string[]; readonly go: () => void } | null>;
  readonly job: Signal<Job | null>;
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

export function makeEntry(given: GivenFile, companions: readonly GivenFile[], settings: Settings | null): Entry {
  lastKey += 1;
  return {
    key: lastKey,
    given: signal(given),
    companions: signal(companions),
    readAs: signal(""),
    snapshot: signal(""),
    card: signal<ImageCard | null>(null),
    failure: signal<unknown>(null),
    format: signal(settings?.format ?? ""),
    options: signal(settings?.options ?? {}),
    salvage: signal(settings?.salvage ?? false),
    stem: signal<string | null>(null),
    plan: signal<PlanCard | null>(null),
    planFailure: signal<unknown>(null),
    question: signal<{ readonly taken: readonly string[]; readonly go: () => void } | null>(null),
    job: signal<Job | null>(null),
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
  return { phase: "verify", position: progress.phase === "finish" ? 0 : progress.position };
}
