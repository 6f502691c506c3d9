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
      <ul class="members">
        {choices.map((member) => (
          <li key={member}>
            <button type="button" onClick={() => chooseMember(entry, member)}>
              {member}
            </button>
          </li>
        ))}
      </ul>
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
