import { download } from "../platform/window/downloads.ts";
import type { ResultCard } from "../workers/engine-api.ts";
import { useArrivalFocus } from "./arrival-focus.ts";
import { CopyButton } from "./copy-button.tsx";
import { lazily } from "./lazy.tsx";
import { bytes, count, duration, exactBytes, offset, percent, share, times } from "./quantities.ts";
import { Scroller } from "./scroller.tsx";
import { anotherLike } from "./state/conversion.ts";
import type { Entry, Job } from "./state/entry.ts";
import { explain } from "./state/failures.ts";
import { dismissJob } from "./state/jobs.ts";
import { checksumKey, checksums, computeChecksum, downloadOutput, isKept, isUnsaved, releaseOutputs } from "./state/outputs.ts";

const ImportSteps = lazily(() => import("./import-steps.tsx").then((module) => module.ImportSteps));

/** Hashing speed used for the estimate; most of a huge sparse disk is zeros that need no reading. */
const HASH_BYTES_PER_SECOND = 400e6;
const SHOWN_RANGES = 100;

export function ResultView({ entry, job, result }: { readonly entry: Entry; readonly job: Job; readonly result: ResultCard }) {
  const heading = useArrivalFocus();
  return (
    <section class="result" aria-label={`Result: ${job.request.name}`}>
      <h3 ref={heading} tabIndex={-1}>
        {result.verified ? "Done" : "Done, but not verified"}
      </h3>
      {result.verified && <p class="verified">✓ verified: read back and compared block by block</p>}
      {result.wrongSums.length > 0 && <WrongSums texts={result.wrongSums} />}
      {result.lost.length > 0 && <Lost job={job} result={result} />}
      {result.warnings.length > 0 && <Warnings texts={result.warnings} />}
      <Downloads job={job} result={result} />
      <dl class="facts">
        <div>
          <dt>Before</dt>
          <dd title={exactBytes(result.sourceBytes)}>{bytes(result.sourceBytes)}</dd>
        </div>
        <div>
          <dt>After</dt>
          <dd title={exactBytes(result.outputBytes)}>
            {bytes(result.outputBytes)} <small>{changeText(result.sourceBytes, result.outputBytes)}</small>
          </dd>
        </div>
        <div>
          <dt>Took</dt>
          <dd>{duration(result.seconds)}</dd>
        </div>
      </dl>
      <ul class="files">
        {result.files.map((file, i) => (
          <li key={file.name}>
            <b>{file.name}</b> <span title={exactBytes(file.size)}>{bytes(file.size)}</span>
            {isKept(job) && (
              <ChecksumLine job={job} file={i} name="SHA-256" label={`SHA-256 of ${file.name}`} known={null} size={file.size} />
            )}
          </li>
        ))}
        <li>
          <b>The disk in it</b>
          <ChecksumLine job={job} file="disk" name="BLAKE3" label="BLAKE3 of the disk" known={result.blake3} size={job.plan.size} />
        </li>
      </ul>
      {result.steps !== null && <ImportSteps steps={result.steps} />}
      <div class="actions">
        <button type="button" onClick={() => anotherLike(job)}>
          Another one with the same settings…
        </button>
        <button type="button" class="quiet" onClick={() => dismissJob(entry)}>
          {isUnsaved(job) ? "Discard the result" : "Back to the settings"}
        </button>
      </div>
    </section>
  );
}

function changeText(before: number, after: number): string {
  const ratio = before === 0 ? 1 : after / before;
  if (ratio >= 2) return `${times(ratio)} times as much`;
  if (ratio >= 1.005) return `${share(ratio - 1)} more`;
  return ratio <= 0.995 ? `${share(1 - ratio)} less` : "the same";
}

function Downloads({ job, result }: { readonly job: Job; readonly result: ResultCard }) {
  if (job.place.kind !== "private") return null;
  const outputs = job.outputs.value;
  if (outputs.length === 0) return <p class="hint">The copy in the private store has been removed.</p>;
  const all = outputs.every((_, i) => job.downloaded.value.has(i));
  return (
    <div class="downloads">
      <div class="actions">
        {result.files.map((file, i) => (
          <button key={file.name} type="button" class={all ? "" : "primary"} data-primary onClick={() => downloadOutput(job, i)}>
            Download {file.name}
          </button>
        ))}
        {all && (
          <button type="button" onClick={() => releaseOutputs(job)}>
            Remove from the private store
          </button>
        )}
      </div>
      <p class="hint">
        {all
          ? "When the browser says that the download is complete, the copy here can go."
          : "The result is in the page's private store until you download it or close the page."}
      </p>
    </div>
  );
}

interface ChecksumProps {
  readonly job: Job;
  readonly file: number | "disk";
  readonly name: string;
  readonly label: string;
  readonly known: string | null;
  readonly size: number;
}

function ChecksumLine({ job, file, name, label, known, size }: ChecksumProps) {
  const asked = checksums.value.get(checksumKey(job, file));
  const text = known ?? asked?.text ?? null;
  if (text !== null) {
    return (
      <div class="checksum">
        <span>{name}</span>
        <code>{text}</code>
        <CopyButton text={text} what={label} />
      </div>
    );
  }
  if (asked !== undefined && asked.failure === null) {
    const done = asked.progress === null ? 0 : percent(asked.progress.done, asked.progress.total);
    return (
      <div class="checksum">
        <span>{name}</span>
        <progress aria-label={label} max={100} value={done} />
        <span>{done}%</span>
      </div>
    );
  }
  return (
    <div class="checksum">
      <span>{name}</span>
      <button type="button" class="small" aria-label={`Compute ${label}`} onClick={() => computeChecksum(job, file)}>
        Compute (about {duration(size / HASH_BYTES_PER_SECOND)})
      </button>
      {asked?.failure != null && <span class="warning">{explain(asked.failure, "checksum").what}</span>}
    </div>
  );
}

/** What was not in order about the source, and may matter for the result. */
function Warnings({ texts }: { readonly texts: readonly string[] }) {
  return (
    <section class="notes" aria-label="Warnings about the source">
      <h3>About the source</h3>
      <ul>
        {texts.map((text) => (
          <li key={text} class="warning">
            {text}
          </li>
        ))}
      </ul>
    </section>
  );
}

function WrongSums({ texts }: { readonly texts: readonly string[] }) {
  return (
    <div class="failure" role="note">
      <h3>The source does not match its own checksum: some of what was converted may be wrong</h3>
      <ul>
        {texts.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </div>
  );
}

function Lost({ job, result }: { readonly job: Job; readonly result: ResultCard }) {
  const total = result.lost.reduce((sum, range) => sum + range.length, 0);
  const { report } = result;
  return (
    <div class="failure" role="note">
      <h3>
        {count(result.lost.length, "range")} could not be read: {bytes(total)} zeroed
      </h3>
      <details>
        <summary>Zeroed ranges</summary>
        <Scroller label="Zeroed ranges">
          <table>
            <thead>
              <tr>
                <th scope="col">From</th>
                <th scope="col">Length</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {result.lost.slice(0, SHOWN_RANGES).map((range) => (
                <tr key={range.start}>
                  <td class="number">{offset(range.start)}</td>
                  <td class="number">{bytes(range.length)}</td>
                  <td>{range.reason}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
        {result.lost.length > SHOWN_RANGES && <p class="hint">The first {SHOWN_RANGES}; the report has all.</p>}
      </details>
      {report !== null && (
        <button type="button" onClick={() => download(new Blob([report], { type: "text/plain" }), `${job.request.name}.salvage.txt`)}>
          Download the salvage report
        </button>
      )}
    </div>
  );
}
