import { pickFiles } from "../platform/window/pickers.ts";
import type { ImageCard } from "../workers/engine-api.ts";
import { BlockMap } from "./block-map.tsx";
import { FailureBox } from "./failure-box.tsx";
import { JobView } from "./job-view.tsx";
import { Partitions } from "./partition-bar.tsx";
import { bytes, count, exactBytes, moment } from "./quantities.ts";
import { type Entry, isBusy } from "./state/entry.ts";
import { kindOf } from "./state/failures.ts";
import { addCompanions, chooseSnapshot, isClosable, missingName, readAs, removeEntry, reopenEntry } from "./state/images.ts";
import { isReadable } from "./state/target.ts";
import { TargetForm } from "./target-form.tsx";

/** One image: what it is on the left, what is to become of it on the right. */
export function ImageArticle({ entry }: { readonly entry: Entry }) {
  const { name } = entry.given.value.file;
  const card = entry.card.value;
  const failure = entry.failure.value;
  return (
    <article class="card" aria-label={name}>
      <header>
        <h2>{name}</h2>
        {card !== null && (
          <p class="format">
            {card.label}
            {card.variant !== "" && <span>{card.variant}</span>}
          </p>
        )}
        <button
          type="button"
          class="small quiet"
          disabled={!isClosable(entry)}
          aria-label={`Close ${name}`}
          onClick={() => removeEntry(entry)}
        >
          Close
        </button>
      </header>
      {failure !== null && <OpenFailure entry={entry} failure={failure} />}
      {failure === null && card === null && <p class="opening">Reading {name}…</p>}
      {card !== null && (
        <div class="columns">
          <div class="source">
            <Facts card={card} entry={entry} />
            {isReadable(card) ? <BlockMap entry={entry} card={card} /> : <Unreadable card={card} />}
            {card.partitions !== null && <Partitions table={card.partitions} size={card.size} name={card.name} />}
            <Notes card={card} />
            <Details card={card} />
          </div>
          {isReadable(card) && (
            <div class="target">
              {entry.job.value === null ? <TargetForm entry={entry} card={card} /> : <JobView entry={entry} job={entry.job.value} />}
            </div>
          )}
        </div>
      )}
    </article>
  );
}

function OpenFailure({ entry, failure }: { readonly entry: Entry; readonly failure: unknown }) {
  const missing = missingName(entry);
  const add = async () => {
    const given = await pickFiles();
    if (given !== null) await addCompanions(entry, given.files);
  };
  return (
    <FailureBox failure={failure} during="open">
      {missing === undefined ? (
        <>
          <button type="button" onClick={() => reopenEntry(entry)}>
            Try again
          </button>
          {entry.snapshot.value !== "" && (
            <button type="button" onClick={() => chooseSnapshot(entry, "")}>
              Open the current state
            </button>
          )}
          {kindOf(failure) === "wrong-format" && entry.readAs.value === "" && (
            <button type="button" onClick={() => readAs(entry, "raw")}>
              Read it as a raw disk
            </button>
          )}
        </>
      ) : (
        <button type="button" class="primary" data-primary onClick={add}>
          Add {missing}…
        </button>
      )}
    </FailureBox>
  );
}

function Facts({ card, entry }: { readonly card: ImageCard; readonly entry: Entry }) {
  const fileCount = card.files.length;
  return (
    <dl class="facts">
      <div>
        <dt>Virtual size</dt>
        <dd title={exactBytes(card.size)}>{bytes(card.size)}</dd>
      </div>
      <div>
        <dt>Allocated</dt>
        <dd title={exactBytes(card.dataBytes + card.packedBytes)}>{bytes(card.dataBytes + card.packedBytes)}</dd>
      </div>
      <div>
        <dt>{fileCount > 1 ? `In ${count(fileCount, "file")}` : "File size"}</dt>
        <dd title={exactBytes(card.fileBytes)}>{bytes(card.fileBytes)}</dd>
      </div>
      {card.snapshots.length > 0 && (
        <div class="wide">
          <dt>
            <label for={`snapshot-${entry.key}`}>Snapshot</label>
          </dt>
          <dd>
            <select
              id={`snapshot-${entry.key}`}
              value={entry.snapshot.value}
              disabled={isBusy(entry.job.value)}
              onChange={(event) => chooseSnapshot(entry, event.currentTarget.value)}
            >
              <option value="">Current state</option>
              {card.snapshots.map((snapshot) => (
                <option key={snapshot.id} value={snapshot.id}>
                  {snapshot.name} ({moment(snapshot.dateSeconds * 1000)})
                </option>
              ))}
            </select>
          </dd>
        </div>
      )}
    </dl>
  );
}

function Unreadable({ card }: { readonly card: ImageCard }) {
  return (
    <div class="failure" role="note">
      <h3>{card.encrypted ? "This image is encrypted" : "The data of this image cannot be read here"}</h3>
      {card.encrypted && <p>Spindle has no way to enter a key, so it can show what the image is but not convert it.</p>}
      {card.unsupported.length > 0 && (
        <ul>
          {card.unsupported.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Notes({ card }: { readonly card: ImageCard }) {
  const others = card.files.filter((name) => name !== card.name);
  if (card.notes.length === 0 && others.length === 0) return null;
  return (
    <section class="notes" aria-label={`Remarks on ${card.name}`}>
      <h3>Worth knowing</h3>
      <ul>
        {others.length > 0 && <li>Reads also from {others.join(", ")}.</li>}
        {card.notes.map((note) => (
          <li key={note.text} class={note.severity}>
            {note.text}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Details({ card }: { readonly card: ImageCard }) {
  if (Object.keys(card.details).length === 0) return null;
  return (
    <details>
      <summary>Header fields</summary>
      <pre>{JSON.stringify(card.details, null, 2)}</pre>
    </details>
  );
}
