import { readFileSync } from "node:fs";
import { join } from "node:path";
import { corpusFolder, generatedFolder, readTable } from "./judges.ts";

export type CorpusRow = Readonly<Record<string, string>>;

/** The rows of a corpus' table for one format; none without the corpus. */
export function rowsOf(folder: string | null, format: string): readonly CorpusRow[] {
  if (folder === null) return [];
  return readTable(readFileSync(join(folder, "manifest.tsv"), "utf8")).filter((row) => row["format"] === format);
}

/** The images of a format that other tools made, of the corpora that are here. */
export function knownImages(format: string): readonly { readonly name: string; readonly path: string; readonly row: CorpusRow }[] {
  const corpus = corpusFolder();
  const generated = generatedFolder("small");
  const placed = (rows: readonly CorpusRow[], folder: string) =>
    rows.map((row) => ({ name: row["name"] as string, path: join(folder, row["name"] as string), row }));
  return [...placed(rowsOf(corpus, format), join(corpus ?? "", "files")), ...placed(rowsOf(generated, format), generated ?? "")];
}

/** The content hash (see `contentHash`) of the disk that the malformed images were made of. */
export const seedHash = (malformed: string): string => readFileSync(join(malformed, "seed.nz_sha256"), "utf8").trim();
