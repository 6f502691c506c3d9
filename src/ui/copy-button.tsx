import { useSignal } from "@preact/signals";
import { copyText } from "../platform/window/downloads.ts";
import { announce } from "./state/announcements.ts";

interface Props {
  readonly text: string;
  /** Completes "Copy …" for those who cannot see what stands beside the button. */
  readonly what: string;
  readonly label?: string;
}

export function CopyButton({ text, what, label = "Copy" }: Props) {
  const said = useSignal(label);
  const copy = async () => {
    said.value = (await copyText(text)) ? "Copied" : "Not allowed";
    announce(said.value);
    setTimeout(() => {
      said.value = label;
    }, 2000);
  };
  return (
    <button type="button" class="small" aria-label={`Copy ${what}`} onClick={copy}>
      {said}
    </button>
  );
}
