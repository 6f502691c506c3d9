import { signal } from "@preact/signals";
import type { GivenFile } from "../../platform/window/given-file.ts";
import { heldLocks } from "../../platform/window/job-locks.ts";
import { dropJobRecord, type JobRecord, readJobRecords } from "../../platform/window/job-records.ts";
import { allow } from "../../platform/window/permissions.ts";
import type { OutputPlace } from "../../workers/engine-api.ts";
import { engine } from "./engine.ts";
import type { Entry } from "./entry.ts";
import { addFiles, chooseMember, chooseSnapshot, goOnAnyway, readAs } from "./images.ts";
import { startJob } from "./jobs.ts";
import { isReadable } from "./target.ts";

/** Conversions that an earlier visit began and did not end. */
export const unfinished = signal<readonly JobRecord[]>([]);

/** A job whose lock is held is alive in another tab and not ours to tell about. */
export async function loadUnfinished(): Promise<void> {
  const records = await readJobRecords().catch(() => []);
  const held = await heldLocks();
  unfinished.value = records.filter((record) => !held.has(record.lock));
}

export async function forgetUnfinished(record: JobRecord): Promise<void> {
  unfinished.value = unfinished.value.filter((other) => other !== record);
  await dropJobRecord(record.id);
}

/**
 * Within a click: asks for the permissions again, opens the source with the same settings and starts from the beginning.
 * When the place to write to is not to be had any more, the card is left ready for the user to choose another.
 * False when the source could not be opened.
 */
export async function startAgain(record: JobRecord): Promise<boolean> {
  const { sourceHandle, outputHandle } = record;
  if (sourceHandle === null || !(await allow(sourceHandle, "read"))) return false;
  const mayWrite = outputHandle !== null && (await allow(outputHandle, "readwrite").catch(() => false));
  const given: GivenFile = { file: await sourceHandle.getFile(), handle: sourceHandle };
  const companions = await Promise.all(record.companions.map(companion));
  await forgetUnfinished(record);
  const { format, options, salvage, preset = "", slim = false } = record;
  const added = await addFiles(
    { files: [given, ...companions.filter((one) => one !== null)], folder: false },
    { format, options, salvage, preset, slim },
  );
  const entry = added.find((one) => one.given.value.file === given.file);
  if (entry === undefined) return false;
  // Records of earlier versions of the page do not have it.
  if ((record.member ?? "") !== "") await chooseMember(entry, record.member);
  if (record.acceptChanged === true) await goOnAnyway(entry);
  if (record.readAs !== "") await readAs(entry, record.readAs);
  if (record.snapshot !== "") await chooseSnapshot(entry, record.snapshot);
  entry.size.value = record.size ?? null;
  if (record.keepLayers === true) entry.shape.value = "layers";
  const place = placeOf(record, mayWrite);
  if (place !== null) await restart(entry, record, place);
  return true;
}

async function restart(entry: Entry, record: JobRecord, place: OutputPlace): Promise<void> {
  const card = entry.card.value;
  if (card === null || !isReadable(card)) return;
  // What it was to lie over is not known any more.
  if (record.isDelta === true) return;
  const { format, options, name, salvage, preset, size, slim, keepLayers } = record;
  const request = { image: card.image, format, options, name, salvage, preset, size, slim, keepLayers };
  const plan = await engine().plan(request);
  if ([...plan.changes, ...plan.losses].some((loss) => loss.severity === "blocker")) return;
  void startJob(entry, request, plan, place);
}

function placeOf(record: JobRecord, mayWrite: boolean): OutputPlace | null {
  if (record.place === "private") return { kind: "private" };
  const handle = record.outputHandle;
  if (handle === null || !mayWrite) return null;
  return handle.kind === "file" ? { kind: "file", handle } : { kind: "folder", handle, replace: false };
}

async function companion(handle: FileSystemFileHandle): Promise<GivenFile | null> {
  try {
    return (await allow(handle, "read")) ? { file: await handle.getFile(), handle } : null;
  } catch {
    return null;
  }
}
