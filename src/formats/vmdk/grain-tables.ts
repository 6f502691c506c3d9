import type { ByteSource } from "../../core/model.ts";
import type { Directory } from "./directory.ts";

/** Tables are read together while they follow each other in the file, this many at most. */
const TABLES_PER_READ = 64;
const TABLES_KEPT = 512;

/** The grain tables of one extent: read on demand, the latest ones kept. */
export class GrainTables {
  readonly #source: ByteSource;
  readonly #directory: Directory;
  readonly #kept = new Map<number, Uint8Array>();

  constructor(source: ByteSource, directory: Directory) {
    this.#source = source;
    this.#directory = directory;
  }

  isKept(index: number): boolean {
    return this.#kept.has(index);
  }

  /** The entries of a table that the directory has. */
  async read(index: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const known = this.#kept.get(index);
    if (known !== undefined) return known;
    const at = this.#directory.tableAt(index);
    const last = this.#lastInRow(index);
    const bytes = await this.#source.read(at, this.#directory.tableEnd(last) - at, signal);
    for (let i = index; i <= last; i++) {
      const from = this.#directory.tableAt(i) - at;
      this.#kept.set(i, bytes.slice(from, this.#directory.tableEnd(i) - at));
    }
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= TABLES_KEPT) break;
      if (oldest !== index) this.#kept.delete(oldest);
    }
    return this.#kept.get(index) as Uint8Array;
  }

  #lastInRow(index: number): number {
    const directory = this.#directory;
    let last = index;
    while (
      last - index + 1 < TABLES_PER_READ &&
      directory.kindOf(last + 1) === "table" &&
      directory.tableAt(last + 1) === directory.tableEnd(last)
    )
      last++;
    return last;
  }
}
