import { signal } from "@preact/signals";

/** `#help` or `#help/section`; anything else is the work screen. Changing it never ends a job: all state lives in modules. */
export type Route = { readonly page: "work" } | { readonly page: "help"; readonly section: string | null };

export const route = signal<Route>(read(location.hash));

addEventListener("hashchange", () => {
  route.value = read(location.hash);
});

function read(hash: string): Route {
  const match = /^#help(?:\/([a-z0-9-]+))?$/.exec(hash);
  return match === null ? { page: "work" } : { page: "help", section: match[1] ?? null };
}

export function helpAddress(section: string): string {
  return `#help/${section}`;
}
