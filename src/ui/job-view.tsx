import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useArrivalFocus } from "./arrival-focus.ts";
import { FailureBox } from "./failure-box.tsx";
import { bytes, duration, percent, rate } from "./quantities.ts";
import { ResultView } from "./result-view.tsx";
import { askToCancel } from "./state/cancelling.ts";
import type { Entry, Job } from "./state/entry.ts";
import { kindOf } from "./state/failures.ts";
import { reopenEntry } from "./state/images.ts";
import { dismissJob, phaseText } from "./state/jobs.ts";
import { closingSeconds } from "./target-defaults.ts";

export function JobView({ entry, job }: { readonly entry: Entry; readonly job: Job }) {
  const state = job.state.value;
  const result = job.result.value;
  if (state === "done" && result !== null) return <ResultView entry={entry} job={job} result={result} />;
  if (state === "failed") return <JobFailure entry={entry} job={job} />;
  return <Running job={job} />;
}

function Running({ job }: { readonly job: Job }) {
  const heading = useArrivalFocus();
  const state = job.state.value;
  const progress = job.progress.value;
  const phase = progress?.phase ?? "read";
  return (
    <section class="job" aria-label={`Converting to ${job.request.name}`}>
      <h3 ref={heading} tabIndex={-1}>
        {job.request.name}
      </h3>
      <Steps phase={phase} waiting={state === "waiting"} closes={job.place.kind !== "private"} />
      {state === "waiting" && <p>Waits for the conversions before it.</p>}
      {state === "stopping" && <p>Stopping: the partial file is being removed.</p>}
      {state === "running" && progress === null && <p>Starting…</p>}
      {state === "running" && progress !== null && (phase === "finish" ? <Closing job={job} /> : <Moving job={job} />)}
      <div class="actions">
        <button type="button" disabled={state === "stopping"} onClick={() => askToCancel(job)}>
          Cancel <kbd>Esc</kbd>
        </button>
      </div>
    </section>
  );
}

const STEPS = [
  ["read", "Convert"],
  ["finish", "Close"],
  ["verify", "Verify"],
] as const;

function Steps({ phase, waiting, closes }: { readonly phase: string; readonly waiting: boolean; readonly closes: boolean }) {
  const shown = STEPS.filter(([id]) => id !== "finish" || closes);
  const now = phase === "hash" ? shown.length - 1 : shown.findIndex(([id]) => id === phase);
  return (
    <ol class="steps">
      {shown.map(([id, label], i) => (
        <li key={id} class={waiting || i > now ? "" : i < now ? "past" : "now"} aria-current={!waiting && i === now ? "step" : undefined}>
          {label}
        </li>
      ))}
    </ol>
  );
}

function Moving({ job }: { readonly job: Job }) {
  const progress = job.progress.value;
  if (progress === null) return null;
  const done = percent(progress.done, progress.total);
  return (
    <>
      <div class="figures">
        <span class="big">{done}%</span>
        <span>{phaseText(progress.phase)}</span>
      </div>
      <progress aria-label={phaseText(progress.phase)} max={100} value={done} />
      <dl class="facts">
        <div>
          <dt>Data</dt>
          <dd>
            {bytes(progress.done)} of {bytes(progress.total)}
          </dd>
        </div>
        <div>
          <dt>Speed</dt>
          <dd>{progress.rate > 0 ? rate(progress.rate) : "…"}</dd>
        </div>
        <div>
          <dt>Time left</dt>
          <dd>{progress.secondsLeft === null ? "…" : duration(progress.secondsLeft)}</dd>
        </div>
      </dl>
    </>
  );
}

/** The browser's own closing of a picked file has a known length and no progress: the clock is what can be shown. */
function Closing({ job }: { readonly job: Job }) {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => {
      now.value = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  }, []);
  const expected = closingSeconds(job.plan.logicalBytes);
  return (
    <>
      <p>
        <b>The browser is closing the file.</b> It reads all of it once more to check it, and does not say how far it is. All data is
        written.
      </p>
      <progress aria-label="Closing the file" />
      <p class="hint">
        {duration((now.value - job.phaseAt.value) / 1000)} so far, about {duration(expected)} in all.
      </p>
    </>
  );
}

function JobFailure({ entry, job }: { readonly entry: Entry; readonly job: Job }) {
  const failure = job.failure.value;
  const kind = kindOf(failure);
  const again = () => dismissJob(entry);
  const salvage = () => {
    entry.salvage.value = true;
    dismissJob(entry);
  };
  const reopen = () => {
    dismissJob(entry);
    void reopenEntry(entry);
  };
  return (
    <FailureBox failure={failure} during="run" leftover={job.leftover.value} canSalvage={!job.request.salvage}>
      {kind === "corrupt" && !job.request.salvage ? (
        <button type="button" class="primary" data-primary onClick={salvage}>
          Carry on, zero what cannot be read
        </button>
      ) : kind === "file-changed" ? (
        <button type="button" class="primary" data-primary onClick={reopen}>
          Open it again
        </button>
      ) : (
        <button type="button" class="primary" data-primary onClick={again}>
          {kind === "disk-full" ? "Choose another place" : "Back to the settings"}
        </button>
      )}
    </FailureBox>
  );
}
