import type { Volume } from "./model.ts";

/** What is the same of every image that stands alone: no parent, no identity a child could state, no snapshots, nothing encrypted. */
export const STANDALONE = {
  parent: null,
  identity: null,
  snapshots: [],
  unsupported: [],
  encrypted: false,
} as const satisfies Partial<Volume>;
