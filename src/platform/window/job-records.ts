import { del, entries, set } from "idb-keyval";

/** What is kept of a running conversion, so that the next visit can say what happened to it. */
export interface JobRecord {
  readonly id: string;
  /** The web lock that the running tab holds: while it is held the job is alive. */
  readonly lock: string;
  readonly source: string;
  readonly sourceHandle: FileSystemFileHandle | null;
  readonly companions: readonly FileSystemFileHandle[];
  readonly readAs: string;
  readonly snapshot: string;
  readonly member: string;
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
  readonly name: string;
  readonly salvage: boolean;
  /** What else the result was to be; records of earlier versions of the page have none of it. */
  readonly preset?: string;
  readonly size?: number;
  readonly slim?: boolean;
  readonly keepLayers?: boolean;
  /** It was to be a layer over another opened image, which a record does not hold. */
  readonly isDelta?: boolean;
  readonly acceptChanged?: boolean;
  readonly place: "file" | "folder" | "private";
  readonly outputHandle: FileSystemFileHandle | FileSystemDirectoryHandle | null;
  readonly percent: number;
  readonly when: number;
}

const PREFIX = "job:";

export function keepJobRecord(record: JobRecord): Promise<void> {
  return set(PREFIX + record.id, record);
}

export function dropJobRecord(id: string): Promise<void> {
  return del(PREFIX + id);
}

export async function readJobRecords(): Promise<JobRecord[]> {
  const all = await entries<string, unknown>();
  return all.filter((entry): entry is [string, JobRecord] => entry[0].startsWith(PREFIX)).map(([, record]) => record);
}
