import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { announce } from "./state/announcements.ts";
import { type Entry, titleOf } from "./state/entry.ts";
import { unlock } from "./state/images.ts";

/** Asks for the passphrase of an encrypted image. */
export function PassphraseForm({ entry }: { readonly entry: Entry }) {
  const field = useRef<HTMLInputElement>(null);
  const text = useSignal("");
  const shown = useSignal(false);
  const wrong = useSignal(false);
  const trying = entry.opening.value !== null;
  const id = `passphrase-${entry.key}`;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (trying || text.value === "") return;
    wrong.value = false;
    announce("Trying the passphrase.");
    if (await unlock(entry, text.value)) {
      document.getElementById(`title-${entry.key}`)?.focus({ preventScroll: true });
      return;
    }
    wrong.value = true;
    field.current?.select();
  };
  return (
    <form class="failure calm" aria-label={`Unlock ${titleOf(entry)}`} onSubmit={submit}>
      <h3>This image is encrypted</h3>
      <p>Enter its passphrase to read it. It stays in this tab and is forgotten with the card.</p>
      <div class="field">
        <label for={id}>Passphrase</label>
        <div class="suffixed">
          <input
            ref={field}
            id={id}
            type={(shown.value ? "text" : "password") as "text" /* the types know one kind of field at a time */}
            autocomplete="off"
            spellcheck={false}
            aria-invalid={wrong.value}
            aria-describedby={`${id}-error`}
            value={text.value}
            onInput={(event) => {
              text.value = event.currentTarget.value;
              wrong.value = false;
            }}
          />
          <button
            type="button"
            aria-pressed={shown.value}
            aria-label="Show the passphrase"
            onClick={() => {
              shown.value = !shown.value;
            }}
          >
            {shown.value ? "Hide" : "Show"}
          </button>
        </div>
        <p id={`${id}-error`} class="field-error" role="alert">
          {wrong.value && "This is not the passphrase. Upper and lower case count."}
        </p>
      </div>
      <div class="actions">
        <button type="submit" class="primary" disabled={trying || text.value === ""}>
          {trying ? "Trying…" : "Unlock"}
        </button>
      </div>
    </form>
  );
}
