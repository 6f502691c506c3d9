/** Images that the corpus' own generators make: once for each version of the generator and of qemu-img. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { which } from "../executables.mjs";
import { oneLine, runProgram } from "./programs.mjs";

/** Why `generator` cannot be run here; "" when it can. */
export function lackOf(corpus, generator, programs) {
  if (corpus === null || !existsSync(join(corpus, generator)))
    return `no ${generator}: set SPINDLE_CORPUS or put the corpus beside the repository as ../shared/corpus`;
  const lacking = programs.find((program) => which(program) === null);
  return lacking === undefined ? "" : `${lacking} is not installed, which makes them`;
}

/**
 * The folder that the generator has filled: `given` when `proof` is in it, else `folder`, in which what an earlier run made is kept.
 * `words` follow the folder on the generator's command line. `surplus`: folders in it that no row needs.
 */
export async function generated({ corpus, generator, given, folder, proof, words, env = {}, seconds, surplus = [] }) {
  if (given !== null && existsSync(join(given, proof))) return given;
  const stamp = join(folder, "made-by");
  const version = (await runProgram("qemu-img", ["--version"])).stdout;
  const mark = createHash("sha256")
    .update(readFileSync(join(corpus, generator)))
    .update(version)
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === mark) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { code, late, stderr } = await runProgram("bash", [join(corpus, generator), folder, ...words], { seconds, env });
  if (late) throw new Error(`${generator} was not done after ${seconds} s`);
  if (code !== 0) throw new Error(`${generator} ended with ${code}: ${oneLine(stderr)}`);
  for (const name of surplus) rmSync(join(folder, name), { recursive: true });
  writeFileSync(stamp, mark);
  return folder;
}
