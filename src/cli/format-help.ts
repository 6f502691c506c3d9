import { targetById } from "../formats/registry.ts";
import { wrap } from "./columns.ts";

/** The options of a target format, as `-o help` lists them. */
export function formatHelp(name: string): string {
  const { id, label, target } = targetById(name);
  const options = (target?.options ?? []).map(({ name: option, label: title, help, choices, initial }) => {
    const others = choices?.map(({ value }) => value).filter((value) => value !== initial) ?? [];
    const values = choices === null ? "free text" : `${initial} (default)${others.map((value) => `, ${value}`).join("")}`;
    return [`  ${option}`, ...wrap(`${title}: ${values}`.split(/(?= )/), "      "), ...wrap(help.split(/(?= )/), "      ")].join("\n");
  });
  const head = options.length === 0 ? `${label} (${id}) has no options.` : `Options of ${label} (-O ${id} -o NAME=VALUE,…):`;
  return [head, ...options, ""].join("\n");
}

/** Whether `-o` asks for the list instead of naming options. */
export const asksForOptions = (lists: readonly string[]): boolean =>
  lists.some((list) => list.split(",").some((word) => word === "help" || word === "?"));
