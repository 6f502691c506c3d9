import { duration, percent } from "./quantities.ts";
import type { Work } from "./state/tasks.ts";

interface Props {
  /** What is being done: "Checking web.vmdk". */
  readonly label: string;
  readonly work: Work;
  readonly cancel: () => void;
}

/** Work that goes on: how far it is, how long it will take, and the way to end it. */
export function WorkingLine({ label, work, cancel }: Props) {
  const { progress } = work;
  const done = progress === null || progress.total === 0 ? null : percent(progress.done, progress.total);
  const left = progress?.secondsLeft ?? null;
  return (
    <div class="working">
      <p>
        {label}…{done !== null && ` ${done}%`}
        {left !== null && `, ${duration(left)} left`}
      </p>
      <progress aria-label={label} max={100} value={done ?? undefined} />
      <button type="button" class="small" aria-label={`Cancel: ${label}`} onClick={cancel}>
        Cancel
      </button>
    </div>
  );
}
