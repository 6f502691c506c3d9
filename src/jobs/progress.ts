/** What a running job tells; bytes of data, not of virtual size. */
export interface JobProgress {
  readonly phase: "read" | "finish" | "verify" | "hash";
  readonly done: number;
  readonly total: number;
  /** Place on the disk up to which this phase has come. */
  readonly position: number;
}
export type Report = (progress: JobProgress) => void;
