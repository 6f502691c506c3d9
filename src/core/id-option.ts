import type { TargetOption, TargetSpec } from "./target.ts";
import { uuidBytes, uuidText } from "./uuid.ts";

/** The option by which a target is given its UUID: free text, empty for none. */
export const idOption = (label: string, help: string): TargetOption => ({ name: "id", label, help, choices: null, initial: "" });

/** The UUID that the option gives, in lower case; empty: none is given; null: what is given is no UUID, or nil. */
export function givenId({ options }: Pick<TargetSpec, "options">): string | null {
  const { id = "" } = options;
  const bytes = id === "" ? null : uuidBytes(id);
  return id === "" ? "" : bytes && uuidText(bytes);
}
