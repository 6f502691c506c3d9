import { DiskError } from "../core/errors.ts";
import { programHelp, verbHelp } from "./help.ts";
import { printRemark, printText } from "./output.ts";
import { createSession, type Session } from "./session.ts";
import { VERBS } from "./verbs.ts";

/** Of package.json; put in place when the program is built. */
declare const __VERSION__: string;

const INTERRUPTED = 130;
const HELP = ["help", "--help", "-h"];
const VERSION = ["--version", "-V"];

async function main(words: readonly string[]): Promise<number> {
  const [first, ...following] = words;
  if (first !== undefined && VERSION.includes(first)) {
    printText(`spindle version ${__VERSION__}\n`);
    return 0;
  }
  const asked = first !== undefined && HELP.includes(first);
  const [name, ...rest] = asked ? following : words;
  if (name === undefined || HELP.includes(name)) {
    printText(programHelp());
    return asked ? 0 : 1;
  }
  const verb = VERBS[name];
  if (verb === undefined) {
    printRemark(`there is no verb “${name}”; spindle --help lists them`);
    return 1;
  }
  if (asked || rest.includes("--help") || rest.includes("-h")) {
    printText(verbHelp(name, verb));
    return 0;
  }
  const abort = new AbortController();
  // The second time there is no waiting: what was begun is removed, and that is all.
  const interrupt = (): void => {
    if (abort.signal.aborted) process.exit(INTERRUPTED);
    abort.abort(new DiskError("io", "interrupted"));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  let session: Session | null = null;
  try {
    session = createSession(abort.signal);
    return await verb.run(rest, session);
  } catch (error) {
    printRemark(oneLine(error));
    return abort.signal.aborted ? INTERRUPTED : verb.failure;
  } finally {
    await session?.end();
  }
}

/** Where an image states a folder, which is not looked in unless the user names it. */
const ELSEWHERE = " (other folders than the image's are looked in with --look-in DIR)";

/** Errors a user can meet are one line; anything else is a defect of ours and shows where it happened. */
function oneLine(error: unknown): string {
  if (error instanceof DiskError) {
    const { file, at, message, code, needs } = error;
    const named = file === undefined || message.includes(file) ? message : `${file}: ${message}`;
    const place = at === undefined ? "" : ` [${file === undefined ? "" : `${file} `}@ ${at}]`;
    return `${named}${place}${code === "missing-file" && /[/\\]/.test(needs ?? "") ? ELSEWHERE : ""}`;
  }
  return error instanceof Error ? (error.stack ?? error.message).replaceAll(/\s*\n\s*/g, " | ") : String(error);
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader of a pipe may go when it has enough.
  if (error.code !== "EPIPE") printRemark(`the output cannot be written: ${error.message}`);
  process.exit(1);
});
process.exitCode = await main(process.argv.slice(2));
