import { DiskError } from "../core/errors.ts";
import { check } from "./check.ts";
import { compare } from "./compare.ts";
import { convert } from "./convert.ts";
import { info } from "./info.ts";
import { map } from "./map.ts";
import { measure } from "./measure.ts";
import { printLine, printRemark } from "./output.ts";
import { repair } from "./repair.ts";
import { createSession, type Session } from "./session.ts";

/** A verb: its words in, its exit code out. `failure` is the exit code of an error. */
export interface Verb {
  readonly usage: string;
  readonly failure: number;
  run(words: readonly string[], session: Session): Promise<number>;
}

const VERBS: Readonly<Record<string, Verb>> = { check, compare, convert, info, map, measure, repair };

function printUsage(): void {
  const lines = Object.entries(VERBS).map(([name, verb]) => `  spindle ${name} ${verb.usage}`);
  process.stdout.write(`Converts virtual machine disks. Verbs, options and exit codes as qemu-img has them.\n\n${lines.join("\n")}\n`);
}

async function main(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    printUsage();
    return name === undefined ? 1 : 0;
  }
  const verb = VERBS[name];
  if (verb === undefined) {
    printRemark(`there is no verb “${name}”; spindle --help lists them`);
    return 1;
  }
  if (rest.includes("--help") || rest.includes("-h")) {
    printLine(`spindle ${name} ${verb.usage}`);
    return 0;
  }
  const abort = new AbortController();
  const interrupt = (): void => abort.abort(new DiskError("io", "interrupted"));
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  process.once("SIGHUP", interrupt);
  const session = createSession(abort.signal);
  try {
    return await verb.run(rest, session);
  } catch (error) {
    printRemark(oneLine(error));
    return abort.signal.aborted ? 130 : verb.failure;
  } finally {
    await session.end();
  }
}

/** Errors a user can meet are one line; anything else is a defect of ours and shows where it happened. */
function oneLine(error: unknown): string {
  if (error instanceof DiskError) {
    const { file, at, message } = error;
    const named = file === undefined || message.includes(file) ? message : `${file}: ${message}`;
    const place = at === undefined ? "" : ` [${file === undefined ? "" : `${file} `}@ ${at}]`;
    return `${named}${place}`;
  }
  return error instanceof Error ? (error.stack ?? error.message).replaceAll(/\s*\n\s*/g, " | ") : String(error);
}

process.stdout.on("error", () => process.exit(1)); // the reader of a pipe has gone
process.exitCode = await main(process.argv.slice(2));
