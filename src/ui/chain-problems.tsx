import { pickFiles } from "../platform/window/pickers.ts";
import type { ChainProblem } from "../workers/engine-api.ts";
import { hindrances, namelessNeed, neededBy } from "./state/chains.ts";
import type { Entry } from "./state/entry.ts";
import { addCompanions, goOnAnyway, reopenEntry } from "./state/images.ts";
import { helpAddress } from "./state/route.ts";

/** What keeps a chain from being read, each with its cure. */
export function ChainProblems({ entry }: { readonly entry: Entry }) {
  return (
    <>
      {hindrances(entry).map((problem) => (
        <Hindrance key={problem.message} entry={entry} problem={problem} />
      ))}
    </>
  );
}

function Hindrance({ entry, problem }: { readonly entry: Entry; readonly problem: ChainProblem }) {
  const needed = neededBy(problem);
  return (
    <div class={needed === undefined ? "failure" : "failure calm"} role="alert">
      <h3>{titleOf(problem)}</h3>
      <p class="what">{problem.message}.</p>
      <p>Your files were only read. {adviceOn(problem)}</p>
      <div class="actions">
        {needed !== undefined && <Add entry={entry} label={namelessNeed(problem) === null ? `Add ${needed}…` : "Add the parent…"} />}
        {problem.severity === "confirm" && (
          <>
            <Add entry={entry} label="Add another file…" />
            <button type="button" onClick={() => goOnAnyway(entry)}>
              Go on anyway
            </button>
          </>
        )}
        {problem.severity === "stop" && needed === undefined && (
          <button type="button" onClick={() => reopenEntry(entry)}>
            Try again
          </button>
        )}
        <a href={helpAddress("chains")}>Help on chains</a>
      </div>
    </div>
  );
}

function Add({ entry, label }: { readonly entry: Entry; readonly label: string }) {
  const add = async () => {
    const given = await pickFiles();
    if (given !== null) await addCompanions(entry, given.files);
  };
  return (
    <button type="button" class="primary" data-primary onClick={add}>
      {label}
    </button>
  );
}

function titleOf(problem: ChainProblem): string {
  const uuid = namelessNeed(problem);
  const needed = neededBy(problem);
  if (problem.kind === "missing")
    return uuid === null ? `The file “${needed}” is missing` : `The ${kindOf(problem)} whose UUID is ${uuid} is missing`;
  return TITLES[problem.kind] ?? "The chain cannot be read";
}

/** "VDI", by the extension of the name that was made up. */
const kindOf = ({ needs = "" }: ChainProblem): string => needs.slice(needs.lastIndexOf(".") + 1).toUpperCase();

const TITLES: Partial<Readonly<Record<ChainProblem["kind"], string>>> = {
  unreadable: "A layer below cannot be opened",
  ambiguous: "Several files may be the layer below",
  mismatch: "The layer below is not the one it was made over",
  changed: "The layer below was changed afterwards",
  cycle: "The layers lead in a circle",
  "too-deep": "There are too many layers",
};

const ADVICE: Partial<Readonly<Record<ChainProblem["kind"], string>>> = {
  missing: "Add the file by this exact name, or drop the whole folder.",
  unreadable: "Open that file by itself to see what is wrong with it, or add a sound copy.",
  ambiguous: "Close this card and give only the folder that this disk belongs to.",
  mismatch:
    "Look for the right file. If this is all there is, go on: what only the layer below holds may be wrong, and the result will say so.",
  changed: "If this is all there is, go on: what only the layer below holds may be wrong, and the result will say so.",
  cycle: "Files were renamed or copied over each other: look for them as they were.",
  "too-deep": "Merge some of them with the program that made them.",
};

function adviceOn(problem: ChainProblem): string {
  if (problem.kind === "missing" && namelessNeed(problem) !== null)
    return "Add it, whatever the name of its file is, or drop the whole folder.";
  if (problem.kind === "unreadable" && neededBy(problem) !== undefined) return ADVICE.missing ?? "";
  return ADVICE[problem.kind] ?? "";
}
