import { plainName } from "../core/file-name.ts";
import type { ByteSource, FormatContext } from "../core/model.ts";
import { contextOf } from "./image-harness.ts";

/** A context in which parents are looked for among these files as the product does it: by their plain name, and by their identity. */
export const contextBeside = (files: readonly ByteSource[]): FormatContext => ({
  ...contextOf(files),
  resolve: async ({ name }) => files.find((file) => file.name === plainName(name)) ?? null,
  candidates: async () => files,
});
