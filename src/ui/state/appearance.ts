import { effect, signal } from "@preact/signals";

export type Appearance = "system" | "light" | "dark";

const KEY = "spindle-appearance";

export const appearance = signal<Appearance>(stored());

function stored(): Appearance {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

/** The stylesheet follows `data-theme`; without it, the system. */
effect(() => {
  const choice = appearance.value;
  if (choice === "system") {
    delete document.documentElement.dataset["theme"];
    localStorage.removeItem(KEY);
  } else {
    document.documentElement.dataset["theme"] = choice;
    localStorage.setItem(KEY, choice);
  }
});
