import type { ComponentChildren } from "preact";
import { type During, explain, type FailureKind } from "./state/failures.ts";
import { helpAddress } from "./state/route.ts";

/** Nothing is broken: something is to be given, or the user stopped it. */
const CALM: ReadonlySet<FailureKind> = new Set<FailureKind>(["aborted", "missing-file", "taken", "passphrase", "choice"]);

interface Props {
  readonly failure: unknown;
  readonly during: During;
  readonly leftover?: boolean;
  readonly canSalvage?: boolean;
  /** The one thing to do, as a button. */
  readonly children?: ComponentChildren;
}

export function FailureBox({ failure, during, leftover = false, canSalvage = false, children }: Props) {
  const text = explain(failure, during, leftover, canSalvage);
  return (
    <div class={CALM.has(text.kind) ? "failure calm" : "failure"} role="alert">
      <h3>{text.title}</h3>
      {text.what !== text.title && <p class="what">{text.what}</p>}
      {text.place !== null && <p class="place">{text.place}</p>}
      <p>{text.safe}</p>
      <p>{text.advice}</p>
      <div class="actions">
        {children}
        <a href={helpAddress(text.kind)}>Help on this: {text.kind}</a>
      </div>
    </div>
  );
}
