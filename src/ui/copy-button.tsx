import { useSignal } from "@preact/signals";
import { copyText } from "../platform/window/downloads.ts";
import { announce } from "./state/announcements.ts";

/** `what` completes "Copy …" for those who cannot see what stands beside the button. */
export function CopyButton({ text, what }: { readonly text: string; readonly what: string }) {
  const said = useSignal("Copy");
  const copy = async () => {
    said.value = (await copyText(text)) ? "Copied" : "Not allowed";
    announce(said.value);
    setTimeout(() => {
      said.value = "Copy";
    }, 2000);
  };
  return (
    <button type="button" class="small" aria-label={`Copy ${what}`} onClick={copy}>
      {said}
    </button>
  );
}
