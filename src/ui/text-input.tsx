import { useSignal } from "@preact/signals";

interface Props {
  readonly id: string;
  readonly value: string;
  /** Ids of what says more about it. */
  readonly describedBy?: string;
  readonly isInvalid?: boolean;
  /** Told once the user is done with it (Enter, or the field is left). */
  readonly onTake: (typed: string) => void;
}

/** A line of text. What is being typed stays while the page around it is drawn anew, as it is whenever a plan comes in. */
export function TextInput({ id, value, describedBy, isInvalid = false, onTake }: Props) {
  const typed = useSignal<string | null>(null);
  return (
    <input
      id={id}
      aria-describedby={describedBy}
      aria-invalid={isInvalid}
      type="text"
      autocomplete="off"
      spellcheck={false}
      value={typed.value ?? value}
      onInput={(event) => {
        typed.value = event.currentTarget.value;
      }}
      onChange={(event) => {
        onTake(event.currentTarget.value);
        typed.value = null;
      }}
      // What was typed and taken back by hand is no change to browsers.
      onBlur={() => {
        typed.value = null;
      }}
    />
  );
}
