import type { ImageCard } from "../workers/engine-api.ts";
import { BlockMap } from "./block-map.tsx";
import { ExamineBar } from "./examine-bar.tsx";
import { JobView } from "./job-view.tsx";
import { lazily } from "./lazy.tsx";
import { OpenFailure, PassphraseForm } from "./open-failure.tsx";
import { Partitions } from "./partition-bar.tsx";
import { bytes, count, exactBytes, moment, readable } from "./quantities.ts";
import { chainNotes, hindrances } from "./state/chains.ts";
import { type Entry, isBusy, titleOf } from "./state/entry.ts";
import { chooseMember, chooseSnapshot, isClosable, removeEntry, stopOpening } from "./state/images.ts";
import { isReadable } from "./state/target.ts";
import { TargetForm } from "./target-form.tsx";
import { WorkingLine } from "./working-line.tsx";

const ChainStrip = lazily(() => import("./chain-strip.tsx").then((module) => module.ChainStrip));

/** One image: what it is on the left, what is to become of it on the right. */
export function ImageArticle({ entry }: { readonly entry: Entry }) {
  const title = titleOf(entry);
  const card = entry.card.value;
  const failure = entry.failure.value;
  const chain = entry.chain.value;
  return (
    <article class="card" aria-label={title}>
      <header>
        <h2 id={`title-${entry.key}`} tabIndex={-1}>
          {title}
        </h2>
        {card !== null && (
          <p class="format">
            {card.label}
            {card.wrapping.length > 0 && ` in ${card.wrapping.toReversed().join(" in ")}`}
            {card.variant !== "" && <span>{card.variant}</span>}
            {card.encrypted && <span>{card.locked || card.unsupported.length > 0 ? "encrypted" : "encrypted, unlocked"}</span>}
          </p>
        )}
        <button
          type="button"
          class="small quiet"
          disabled={!isClosable(entry)}
          aria-label={`Close ${title}`}
          onClick={() => removeEntry(entry)}
        >
          Close
        </button>
      </header>
      {chain !== null && <ChainStrip entry={entry} chain={chain} />}
      {failure !== null && <OpenFailure entry={entry} failure={failure} />}
      {failure === null && card === null && hindrances(entry).length === 0 && <Opening entry={entry} />}
      {card !== null && (
        // Another layer is being opened: what is typed meanwhile would be lost.
        <div class="columns" inert={entry.opening.value !== null && isReadable(card)}>
          <div class="source">
            <Facts card={card} entry={entry} />
            {card.locked && <PassphraseForm entry={entry} />}
            {card.unsupported.length > 0 && <Unreadable card={card} />}
            {isReadable(card) && <ExamineBar entry={entry} card={card} />}
            {isReadable(card) && <BlockMap entry={entry} card={card} />}
            {card.partitions !== null && <Partitions table={card.partitions} size={card.size} name={card.name} />}
            <Notes card={card} entry={entry} />
            <Details card={card} />
          </div>
          {isReadable(card) && (
            <div class="target">
              {entry.job.value === null ? <TargetForm entry={entry} /> : <JobView entry={entry} job={entry.job.value} />}
            </div>
          )}
        </div>
      )}
    </article>
  );
}

function Opening({ entry }: { readonly entry: Entry }) {
  const { name } = entry.given.value.file;
  const work = entry.opening.value;
  return (
    <div class="opening">
      {/* Most files are open at once: only a packed one, which is gone through, has progress to show. */}
      {work?.progress == null ? (
        <p>Reading {name}…</p>
      ) : (
        <WorkingLine label={`Reading ${name}`} work={work} cancel={() => stopOpening(entry)} />
      )}
    </div>
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
      {isReadable(card) && (
        <div>
          <dt>Allocated</dt>
          <dd title={exactBytes(card.dataBytes + card.packedBytes)}>{bytes(card.dataBytes + card.packedBytes)}</dd>
        </div>
      )}
      <div>
        <dt>{fileCount > 1 ? `In ${count(fileCount, "file")}` : "File size"}</dt>
        <dd title={exactBytes(card.fileBytes)}>{bytes(card.fileBytes)}</dd>
      </div>
      {entry.choices.value.length > 1 && (
        <div class="wide">
          <dt>
            <label for={`member-${entry.key}`}>Disk in the archive</label>
          </dt>
          <dd>
            <select
              id={`member-${entry.key}`}
              value={entry.member.value}
              disabled={isBusy(entry.job.value)}
              onChange={(event) => chooseMember(entry, event.currentTarget.value)}
            >
              {entry.choices.value.map((member) => (
                <option key={member} value={member}>
                  {member}
                </option>
              ))}
            </select>
          </dd>
        </div>
      )}
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
      <h3>The data of this image cannot be read here</h3>
      <ul>
        {card.unsupported.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
    </div>
  );
}

function Notes({ card, entry }: { readonly card: ImageCard; readonly entry: Entry }) {
  // A chain shows its layers above.
  const others = entry.chain.value === null ? card.files.filter((name) => name !== card.name) : [];
  const ofChain = chainNotes(entry);
  if (card.notes.length === 0 && others.length === 0 && ofChain.length === 0) return null;
  return (
    <section class="notes" aria-label={`Remarks on ${card.name}`}>
      <h3>Worth knowing</h3>
      <ul>
        {others.length > 0 && <li>Reads also from {others.join(", ")}.</li>}
        {ofChain.map((text) => (
          <li key={text}>{readable(text)}</li>
        ))}
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
