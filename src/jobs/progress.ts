/** What a running job tells; bytes of data, not of virtual size. */
export interface JobProgress {
  /** `source`: checksums over whole files of the source are compared, before anything is written. */
  readonly phase: "source" | "read" | "finish" | "verify" | "hash";
  readonly done: number;
  readonly total: number;
  /** Place on the disk up to which this phase has come. */
  readonly position: number;
}
export type Report = (progress: JobProgress) => void;
