import type { Entry } from "./state/entry.ts";
import { chooseMember, openAllMembers } from "./state/images.ts";

/** More disks than this are not opened at once. */
const MOST_CARDS = 24;

/** An archive holds several disks: which is meant? */
export function MemberChoice({ entry }: { readonly entry: Entry }) {
  const { name } = entry.given.value.file;
  const choices = entry.choices.value;
  return (
    <section class="failure calm" aria-labelledby={`choice-${entry.key}`}>
      <h3 id={`choice-${entry.key}`}>
        {name} holds {choices.length} disks: which one?
      </h3>
      <Members entry={entry} />
      {choices.length <= MOST_CARDS && (
        <div class="actions">
          <button type="button" class="quiet" onClick={() => openAllMembers(entry)}>
            Open all of them
          </button>
        </div>
      )}
    </section>
  );
}

/** The files of an archive, each a button that opens it. */
export function Members({ entry }: { readonly entry: Entry }) {
  return (
    <ul class="members">
      {entry.choices.value.map((member) => (
        <li key={member}>
          <button type="button" onClick={() => chooseMember(entry, member)}>
            {member}
          </button>
        </li>
      ))}
    </ul>
  );
}
