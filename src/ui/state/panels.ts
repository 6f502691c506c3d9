import { signal } from "@preact/signals";

/** The dialog that is open, if any. */
export const panel = signal<"lock" | "keys" | null>(null);
