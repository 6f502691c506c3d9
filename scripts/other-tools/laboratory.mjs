/** A folder for one row's images, and the programs that read them. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ending, oneLine, runProgram } from "../conformance/programs.mjs";
import { which } from "../executables.mjs";
import { MIB } from "./images.mjs";

/** What the page says and what was seen are two things. `by`: the program that did otherwise. */
export class Contradiction extends Error {
  constructor(by, message) {
    super(`${by}: ${message}`);
    this.by = by;
  }
}

export const number = (value) => value.toLocaleString("en-US");
/** A size as the page states it. */
export const size = (bytes) => (bytes % MIB === 0 && bytes > 0 ? `${number(bytes / MIB)} MiB` : `${number(bytes)} bytes`);

/** `program`: the built terminal program. All names are relative to `folder`, where the programs are started. */
export function laboratory(folder, program) {
  mkdirSync(folder, { recursive: true });
  const path = (name) => join(folder, name);
  const run = async (name, args, options = {}) => {
    const started = name === "spindle" ? [process.execPath, [program, ...args]] : [which(name), args];
    const result = await runProgram(...started, { cwd: folder, seconds: 30, ...options });
    if (result.late) throw new Contradiction(name, `${args.join(" ")}: ${ending(result)}`);
    return { ...result, text: `${result.stderr}\n${result.stdout}`.trim().replaceAll(/\s*\n\s*/g, " | ") };
  };

  const lab = {
    path,
    run,
    write(name, bytes) {
      mkdirSync(dirname(path(name)), { recursive: true });
      writeFileSync(path(name), bytes);
    },
    read: (name) => readFileSync(path(name)),
    remove: (name) => rmSync(path(name), { recursive: true, force: true }),
    exists: (name) => existsSync(path(name)),
    /** Throws unless it ends with 0: what only prepares a row. */
    async must(name, args, options) {
      const result = await run(name, args, options);
      if (result.code !== 0) throw new Contradiction(name, `${args.join(" ")}: ${ending(result)}: ${oneLine(result.text)}`);
      return result;
    },
    /**
     * What a program makes of an image, as raw. `disk`: the right content. → exit code, its words, the bytes it left (null:
     * no file), and whether they are right.
     */
    async converts(name, image, disk, { format, cwd } = {}) {
      lab.remove("out.raw");
      const out = path("out.raw");
      const from = path(image);
      const how = {
        "qemu-img": () => run("qemu-img", ["convert", ...(format ? ["-f", format] : []), "-O", "raw", from, out], { cwd }),
        "7zz": () => run("7zz", ["e", "-so", "-y", from], { output: out }),
        dmg2img: () => run("dmg2img", [from, out]),
        simg2img: () => run("simg2img", [from, out]),
        spindle: () => run("spindle", ["convert", ...(format ? ["-f", format] : []), "-O", "raw", from, out], { cwd }),
      }[name];
      const result = await how();
      const bytes = existsSync(out) && statSync(out).size > 0 ? readFileSync(out) : null;
      const left = existsSync(out);
      lab.remove("out.raw");
      return { ...result, bytes, left, length: bytes?.length ?? 0, right: result.code === 0 && bytes !== null && bytes.equals(disk) };
    },
    /** Spindle gives exactly `disk`. → its exit code and words. */
    async spindleReads(image, disk, options) {
      const result = await lab.converts("spindle", image, disk, options);
      if (!result.right) throw new Contradiction("spindle", `${image}: ${ending(result)}, not the right content: ${result.text}`);
      return result;
    },
    /** Spindle gives an error that says `words`, and leaves no file. */
    async spindleRefuses(image, words, options) {
      const result = await lab.converts("spindle", image, Buffer.alloc(0), options);
      if (result.code !== 1 || result.left || !result.text.includes(words))
        throw new Contradiction("spindle", `${image}: ${ending(result)}${result.left ? ", a file left" : ""}: ${result.text}`);
      return result;
    },
  };
  return lab;
}

/** The page's sentence about `by` holds only when this does. */
export function holds(condition, by, { text, ...seen }) {
  if (condition) return;
  const left = seen.bytes ? `, ${number(seen.length)} bytes${seen.right ? ", the right ones" : ""}` : "";
  throw new Contradiction(by, `${ending(seen)}${left}: ${oneLine(text)}`);
}
