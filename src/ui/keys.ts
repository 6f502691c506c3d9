import { pickFiles } from "../platform/window/pickers.ts";
import { askToCancelCurrent } from "./state/cancelling.ts";
import { open } from "./state/intake.ts";
import { panel } from "./state/panels.ts";

/** Ctrl+O opens, Enter presses the main button, Esc cancels, ? lists the keys. Dialogs and fields keep their own keys. */
export function watchKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]") !== null) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "o") {
      event.preventDefault();
      void open(pickFiles());
    } else if (event.key === "Escape") {
      askToCancelCurrent();
    } else if (event.key === "?" && !isField(event.target)) {
      panel.value = "keys";
    } else if (event.key === "Enter" && !isControl(event.target)) {
      document.querySelector<HTMLButtonElement>("button[data-primary]:enabled")?.click();
    }
  });
}

function isControl(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("a, button, input, select, textarea, summary");
}

function isField(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, select, textarea");
}
