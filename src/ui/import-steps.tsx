import type { ImportCard } from "../workers/engine-api.ts";
import { CopyButton } from "./copy-button.tsx";

/** How the result gets to where it was made for. */
export function ImportSteps({ steps }: { readonly steps: ImportCard }) {
  return (
    <section class="import" aria-label={`Import into ${steps.label}`}>
      <h3>Import it into {steps.label}</h3>
      <ol>
        {steps.steps.map(({ text, commands }) => (
          <li key={text}>
            {text}
            {commands.map((command) => (
              <div key={command} class="command">
                <code>{command}</code>
                <CopyButton text={command} what="the command" />
              </div>
            ))}
          </li>
        ))}
      </ol>
      {steps.steps.some(({ commands }) => commands.length > 0) && (
        <p class="hint">Words in capitals are yours to replace. Nothing of this is run here.</p>
      )}
    </section>
  );
}
