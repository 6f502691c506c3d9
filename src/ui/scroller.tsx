import type { ComponentChildren } from "preact";

/** A part that scrolls by itself, reachable with the keyboard. */
export function Scroller({ label, children }: { readonly label: string; readonly children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable without a mouse (WCAG 2.1.1)
    <section class="scroller" tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
