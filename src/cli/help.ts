import { DISK_FORMATS, OTHER_NAMES, READABLE_FORMATS } from "../formats/registry.ts";
import type { OptionSpec, OptionSpecs } from "./arguments.ts";
import { row, wrap } from "./columns.ts";
import type { Verb } from "./verb.ts";
import { VERBS } from "./verbs.ts";

/** Ends any verb. */
const INTERRUPTED = "130 interrupted";

/** Everything at a glance: the verbs with their options, the formats, the exit codes. */
export function programHelp(): string {
  const verbs = Object.entries(VERBS);
  return [
    "Converts virtual machine disks. Verbs, options and exit codes as qemu-img has them.",
    "",
    ...verbs.flatMap(([name, verb]) => [...synopsis(name, verb), `    ${verb.summary}`]),
    "",
    "“spindle help VERB” explains the options of a verb, “convert -O FMT -o help” those of a target.",
    "“spindle --version” says which program this is.",
    "",
    "Formats (FMT) that are read; those marked with * are written too:",
    ...READABLE_FORMATS.map(({ id, label, target }) =>
      row(`${target === undefined ? " " : "*"} ${[id, ...otherNames(id)].join(", ")}`, label),
    ),
    "Files of these kinds are only recognised:",
    ...wrap(
      DISK_FORMATS.filter((format) => !READABLE_FORMATS.includes(format)).map(
        ({ label }, i, { length }) => `${label}${i < length - 1 ? ", " : ""}`,
      ),
      "  ",
    ),
    "",
    "Exit codes:",
    ...[...new Set(verbs.map(([, verb]) => exitCodes(verb).join("; ")))].map((codes) => {
      const alike = verbs.filter(([, verb]) => exitCodes(verb).join("; ") === codes);
      return row(alike.map(([name]) => name).join(", "), codes);
    }),
    row("all", INTERRUPTED),
    "",
  ].join("\n");
}

/** One verb and its options. */
export function verbHelp(name: string, verb: Verb): string {
  return [
    ...synopsis(name, verb),
    `    ${verb.summary}`,
    "",
    ...Object.values(verb.options).map((option) => row(option.names.map((written) => withValue(option, written)).join(", "), option.help)),
    "",
    "Exit codes:",
    ...[...exitCodes(verb), INTERRUPTED].map((line) => `  ${line}`),
    "",
  ].join("\n");
}

const otherNames = (id: string): readonly string[] => Object.keys(OTHER_NAMES).filter((name) => OTHER_NAMES[name] === id);

const exitCodes = ({ exits }: Verb): readonly string[] => Object.entries(exits).map(([code, meaning]) => `${code} ${meaning}`);

function synopsis(name: string, { options, operands }: { readonly options: OptionSpecs; readonly operands: string }): readonly string[] {
  const words = Object.values(options).map((option) => ` [${withValue(option, option.names[0] as string)}]`);
  return wrap([`spindle ${name}`, ...words, ` ${operands}`], "  ", "      ");
}

const withValue = (option: OptionSpec, written: string): string =>
  option.kind === "flag" ? written : `${written}${written.startsWith("--") ? "=" : " "}${option.value}`;
