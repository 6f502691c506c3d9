import { DiskError } from "../core/errors.ts";

/** One option of a verb: `flag` alone, `value` with one value, `list` collected over repetitions. */
export type OptionSpec = { readonly names: readonly string[]; readonly help: string } & (
  | { readonly kind: "flag" }
  | {
      readonly kind: "value" | "list";
      /** What stands for it in the help: `FMT`. */
      readonly value: string;
      /** Whatever else is given is refused, before anything is done. */
      readonly choices?: readonly string[];
    }
);
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;
export interface Arguments {
  has(name: string): boolean;
  value(name: string): string | undefined;
  list(name: string): readonly string[];
  readonly operands: readonly string[];
}

/** Reads a verb's words as qemu-img does: `-O raw`, `-Oraw`, `--output=json`, `--output json`; `--` ends the options. */
export function parseArguments(words: readonly string[], specs: OptionSpecs): Arguments {
  const found = new Map<string, string[]>();
  const operands: string[] = [];
  const rest = [...words];
  const specOf = (written: string): readonly [string, OptionSpec] => {
    const match = Object.entries(specs).find(([, spec]) => spec.names.includes(written));
    if (match === undefined) throw new DiskError("usage", `unknown option ${written}`);
    return match;
  };
  const add = (name: string, value: string): void => {
    const spec = specs[name] as OptionSpec;
    if (spec.kind !== "flag" && spec.choices?.includes(value) === false)
      throw new DiskError("usage", `${spec.names[0]} is ${spec.choices.join(" or ")}, not “${value}”`);
    found.set(name, [...(found.get(name) ?? []), value]);
  };
  while (rest.length > 0) {
    const word = rest.shift() as string;
    if (word === "--") {
      operands.push(...rest.splice(0));
    } else if (word.startsWith("--")) {
      const [written, inline] = splitOnce(word, "=");
      const [name, spec] = specOf(written);
      if (spec.kind === "flag" && inline !== undefined) throw new DiskError("usage", `${written} takes no value`);
      add(name, spec.kind === "flag" ? "" : (inline ?? next(rest, written)));
    } else if (word.startsWith("-") && word.length > 1) {
      readShort(word, rest, specOf, add);
    } else operands.push(word);
  }
  return {
    has: (name) => found.has(name),
    value: (name) => found.get(name)?.at(-1),
    list: (name) => found.get(name) ?? [],
    operands,
  };
}

/** `-cp` is two flags, `-Oraw` an option with its value. */
function readShort(
  word: string,
  rest: string[],
  specOf: (written: string) => readonly [string, OptionSpec],
  add: (name: string, value: string) => void,
): void {
  for (let i = 1; i < word.length; i++) {
    const written = `-${word[i]}`;
    const [name, spec] = specOf(written);
    if (spec.kind === "flag") {
      add(name, "");
      continue;
    }
    add(name, word.slice(i + 1) || next(rest, written));
    return;
  }
}

function next(rest: string[], written: string): string {
  const value = rest.shift();
  if (value === undefined) throw new DiskError("usage", `${written} needs a value`);
  return value;
}

export function splitOnce(word: string, by: string): [string, string | undefined] {
  const at = word.indexOf(by);
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

/** Of a verb that reads one image and writes another. */
export function sourceAndTarget({ operands }: Arguments, verb: string): readonly [source: string, target: string] {
  const [source, target, ...more] = operands;
  if (!source || !target || more.length > 0) throw new DiskError("usage", `${verb} takes one source and one target`);
  return [source, target];
}
