import { pickFiles } from "../platform/window/pickers.ts";
import { FailureBox } from "./failure-box.tsx";
import { lazily } from "./lazy.tsx";
import type { Entry } from "./state/entry.ts";
import { kindOf, membersOf, missingName, namelessParent, unpacksTooFar } from "./state/failures.ts";
import { addCompanions, chooseMember, chooseSnapshot, readAs, reopenEntry, unpackAnyway } from "./state/images.ts";

export const PassphraseForm = lazily(() => import("./passphrase-form.tsx").then((module) => module.PassphraseForm));
const MemberChoice = lazily(() => import("./member-choice.tsx").then((module) => module.MemberChoice));
const Members = lazily(() => import("./member-choice.tsx").then((module) => module.Members));

/** Why an image is not open, and what the user can do about it. */
export function OpenFailure({ entry, failure }: { readonly entry: Entry; readonly failure: unknown }) {
  const kind = kindOf(failure);
  if (kind === "passphrase") return <PassphraseForm entry={entry} />;
  if (kind === "choice") return <MemberChoice entry={entry} />;
  return (
    <FailureBox failure={failure} during="open">
      {kind === "missing-file" ? (
        <AddMissing entry={entry} />
      ) : membersOf(failure) !== null ? (
        <Members entry={entry} />
      ) : (
        <TryOtherwise entry={entry} failure={failure} />
      )}
      {entry.member.value !== "" && (
        <button type="button" onClick={() => chooseMember(entry, "")}>
          Choose another disk of this archive
        </button>
      )}
    </FailureBox>
  );
}

function AddMissing({ entry }: { readonly entry: Entry }) {
  const add = async () => {
    const given = await pickFiles();
    if (given !== null) await addCompanions(entry, given.files);
  };
  return (
    <button type="button" class="primary" data-primary onClick={add}>
      Add {namelessParent(entry.failure.value) === null ? missingName(entry.failure.value) : "the parent"}…
    </button>
  );
}

function TryOtherwise({ entry, failure }: { readonly entry: Entry; readonly failure: unknown }) {
  return (
    <>
      {unpacksTooFar(failure) ? (
        <button type="button" onClick={() => unpackAnyway(entry)}>
          Unpack it anyway
        </button>
      ) : (
        <button type="button" onClick={() => reopenEntry(entry)}>
          Try again
        </button>
      )}
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
  );
}
