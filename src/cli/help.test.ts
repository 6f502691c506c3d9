import { describe, expect, test } from "vitest";
import { DISK_FORMATS, OTHER_NAMES, READABLE_FORMATS, WRITABLE_FORMATS } from "../formats/registry.ts";
import { asksForOptions, formatHelp } from "./format-help.ts";
import { programHelp, verbHelp } from "./help.ts";
import { VERBS } from "./verbs.ts";

const lines = (text: string): readonly string[] => text.split("\n");
const flat = (text: string): string => text.replaceAll(/\s+/g, " ");

describe("the help", () => {
  test("has every format, marks those that are written, and gives their other names", () => {
    const help = programHelp();
    for (const { id, label } of READABLE_FORMATS) {
      const mark = WRITABLE_FORMATS.some((format) => format.id === id) ? "\\*" : " ";
      expect(help).toMatch(new RegExp(`^ {2}${mark} ${id}[, ].*${label.replaceAll(/[()]/g, "\\$&")}$`, "m"));
    }
    for (const { label } of DISK_FORMATS) expect(help).toContain(label);
    for (const [name, id] of Object.entries(OTHER_NAMES)) expect(help).toMatch(new RegExp(`^ {2}[* ] ${id}, .*\\b${name}\\b`, "m"));
  });

  test.each(Object.entries(VERBS))("%s: every option and every exit code", (name, verb) => {
    const [all, own] = [flat(programHelp()), verbHelp(name, verb)];
    for (const option of Object.values(verb.options)) {
      expect(all).toContain(` [${option.names[0]}`);
      for (const written of option.names) expect(own).toMatch(new RegExp(`^ {2}.*${written}\\b`, "m"));
      expect(flat(own)).toContain(option.help);
    }
    for (const [code, meaning] of Object.entries(verb.exits)) {
      expect(own).toContain(`  ${code} ${meaning}\n`);
      expect(all).toContain(`${code} ${meaning}`);
    }
    expect(Object.keys(verb.exits)).toContain(String(verb.failure));
  });

  test.each(WRITABLE_FORMATS)("-O $id -o help: every option and every choice", ({ id, target }) => {
    const help = flat(formatHelp(id));
    for (const { name, help: text, choices, initial } of target!.options) {
      expect(help).toContain(` ${name} `);
      expect(help).toContain(text);
      if (choices !== null) expect(help).toContain(`${initial} (default)`);
      for (const { value } of choices ?? []) expect(help).toContain(` ${value}`);
    }
  });

  test("fits into a hundred columns", () => {
    const texts = [
      programHelp(),
      ...Object.entries(VERBS).map((verb) => verbHelp(...verb)),
      ...WRITABLE_FORMATS.map(({ id }) => formatHelp(id)),
    ];
    for (const line of texts.flatMap(lines)) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  test("-o asks for the list as qemu-img takes it", () => {
    expect([["help"], ["?"], ["a=b", "help"], ["a=b,help"]].map(asksForOptions)).toEqual([true, true, true, true]);
    expect([[], ["a=help"], ["helpful=on"]].map(asksForOptions)).toEqual([false, false, false]);
  });
});
