import { useSignal } from "@preact/signals";
import type { JobRecord } from "../platform/window/job-records.ts";
import { FailureBox } from "./failure-box.tsx";
import { moment } from "./quantities.ts";
import { intakeFailure } from "./state/intake.ts";
import { forgetUnfinished, startAgain, unfinished } from "./state/unfinished.ts";
import { shortName } from "./target-defaults.ts";

/** What earlier visits began and could not end. */
export function UnfinishedBanners() {
  return (
    <>
      {unfinished.value.map((record) => (
        <Unfinished key={record.id} record={record} />
      ))}
    </>
  );
}

function Unfinished({ record }: { readonly record: JobRecord }) {
  const refused = useSignal(false);
  const again = async () => {
    refused.value = !(await startAgain(record).catch(() => false));
  };
  return (
    <section class="failure calm" aria-label={`Unfinished conversion of ${record.source} to ${record.name}, ${moment(record.when)}`}>
      <h2>
        Unfinished: {record.source} to {shortName(record.format)}, {reached(record)} at {moment(record.when)}
      </h2>
      <p>
        {record.percent === 100
          ? "The result had been written but not verified: if it stands under its name already, do not rely on it."
          : "The browser discards an unfinished file when a tab closes."}{" "}
        {record.place === "folder" && "A file whose name ends in .part may be left in the folder; it can be removed. "}
        Your source is untouched.
      </p>
      {record.sourceHandle === null && <p>This browser cannot find {record.source} again by itself: open it once more to start over.</p>}
      {refused.value && (
        <p>{record.source} could not be opened: access was not allowed, or it has moved. Open it once more to start over.</p>
      )}
      <div class="actions">
        {record.sourceHandle !== null && (
          <button type="button" class="primary" onClick={again}>
            Start again
          </button>
        )}
        <button type="button" aria-label={`Forget the unfinished conversion of ${record.source}`} onClick={() => forgetUnfinished(record)}>
          Forget
        </button>
      </div>
    </section>
  );
}

function reached(record: JobRecord): string {
  return record.percent === 100 ? "written but neither closed nor verified" : `${record.percent}%`;
}

/** Files that could not even be listed: a folder without images, a file that has moved. */
export function IntakeFailure() {
  const failure = intakeFailure.value;
  if (failure === null) return null;
  return (
    <FailureBox failure={failure} during="open">
      <button
        type="button"
        onClick={() => {
          intakeFailure.value = null;
        }}
      >
        Close
      </button>
    </FailureBox>
  );
}
