import { signal } from "@preact/signals";

/** The latest remark for screen readers; shown nowhere else. */
export const announced = signal("");

export function announce(text: string): void {
  announced.value = text;
}
