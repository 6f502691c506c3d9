import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

/**
 * For a heading with `tabIndex={-1}` that takes the place of what had the focus: the keyboard and the screen reader
 * go on there instead of at the top of the page. A focus elsewhere is left alone.
 */
export function useArrivalFocus(): RefObject<HTMLHeadingElement | null> {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement === null) heading.current?.focus({ preventScroll: true });
  }, []);
  return heading;
}
