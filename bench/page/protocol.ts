/** What the driver, the bench page and its worker say to each other. */

/** Where an output goes: the page's private file system, or the folder that was dropped. */
export type Place = "private" | "picked";

export interface Target {
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
}

/** What a run moves; the floor is given what the conversion before it moved. */
export interface Load {
  /** Bytes handed to the file system. */
  readonly written: number;
  /** Logical size of the output file. */
  readonly size: number;
}

export interface Run extends Load {
  /** Everything but closing the output. */
  readonly seconds: number;
  readonly close: number;
}

export interface Bench {
  convert(source: File, target: Target, name: string, folder: FileSystemDirectoryHandle | null): Promise<Run>;
  floor(source: File, load: Load, name: string, folder: FileSystemDirectoryHandle | null): Promise<Run>;
  sha256(name: string): Promise<string>;
  /** An output in the private file system. */
  file(name: string): Promise<File>;
  remove(name: string, folder: FileSystemDirectoryHandle | null): Promise<void>;
}
