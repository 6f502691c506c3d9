import { signal } from "@preact/signals";
import type { ComponentType } from "preact";

/** A component whose code is fetched when it is first shown; nothing stands in its place until then. */
export function lazily<P extends object>(load: () => Promise<ComponentType<P>>): (props: P) => preact.JSX.Element | null {
  const loaded = signal<ComponentType<P> | null>(null);
  let asked = false;
  return function Lazy(props: P) {
    if (!asked) {
      asked = true;
      void load().then((component) => {
        loaded.value = component;
      });
    }
    const Component = loaded.value;
    return Component === null ? null : <Component {...props} />;
  };
}
