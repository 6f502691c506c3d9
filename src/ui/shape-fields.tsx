import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { SlimCard } from "../workers/engine-api.ts";
import { bytes, exactBytes, readable, typedSize } from "./quantities.ts";
import { presetCard } from "./state/engine.ts";
import type { Entry } from "./state/entry.ts";
import { chooseSize, loadLimits } from "./state/size.ts";
import { TextInput } from "./text-input.tsx";

/** The disk's size in the result, and whether its free space comes along. */
export function ShapeFields({ entry }: { readonly entry: Entry }) {
  const card = entry.card.value;
  const open = useSignal(false);
  useEffect(() => {
    if (open.value) void loadLimits(entry);
  }, [open.value, card?.image]);
  if (card === null || entry.shape.value !== "whole") return null;
  const size = entry.plan.value?.size ?? entry.size.value ?? card.size;
  const parts = [size === card.size ? `${bytes(size)}, as it is` : bytes(size), ...(entry.slim.value ? ["without free space"] : [])];
  return (
    <details
      class="options"
      onToggle={(event) => {
        open.value = event.currentTarget.open;
      }}
    >
      <summary>
        Size and free space <span class="now">{parts.join(", ")}</span>
      </summary>
      <SizeField key={card.image} entry={entry} size={card.size} />
      <div class="check">
        <input
          id={`slim-${entry.key}`}
          type="checkbox"
          checked={entry.slim.value}
          aria-describedby={`slim-${entry.key}-help`}
          onChange={(event) => {
            entry.slim.value = event.currentTarget.checked;
          }}
        />
        <label for={`slim-${entry.key}`}>Leave out free space</label>
      </div>
      <div class="hint" id={`slim-${entry.key}-help`}>
        {entry.slim.value && entry.plan.value?.slimmed != null ? (
          <Saving slimmed={entry.plan.value.slimmed} />
        ) : (
          <p>
            What deleted files have left behind is not written (ext2, ext3, ext4, FAT, NTFS). Undelete tools then find nothing in the
            result.
          </p>
        )}
      </div>
    </details>
  );
}

function SizeField({ entry, size }: { readonly entry: Entry; readonly size: number }) {
  const text = useSignal(typedSize(entry.size.value ?? size));
  const limits = entry.limits.value;
  const fault = entry.sizeFault.value;
  const id = `size-${entry.key}`;
  const preset = presetCard(entry.preset.value);
  const planned = entry.plan.value?.size ?? 0;
  const isRounded = preset !== undefined && planned > (entry.size.value ?? size);
  const take = (typed: string) => {
    text.value = typed;
    chooseSize(entry, typed);
  };
  // Limits that come later may refuse what stands there already.
  useEffect(() => {
    if (limits !== null) chooseSize(entry, text.peek());
  }, [limits]);
  return (
    <div class="field">
      <label for={id}>Virtual size</label>
      <div class="suffixed">
        <TextInput id={id} isInvalid={fault !== null} describedBy={`${id}-fault ${id}-range`} value={text.value} onTake={take} />
        {entry.size.value !== null || fault !== null ? (
          <button type="button" class="small" onClick={() => take(typedSize(size))}>
            As it is
          </button>
        ) : (
          limits !== null &&
          limits.smallest < size && (
            <button type="button" class="small" onClick={() => take(typedSize(limits.smallest))}>
              Smallest
            </button>
          )
        )}
      </div>
      <p class="field-error" id={`${id}-fault`} role="status">
        {fault}
      </p>
      <p class="hint" id={`${id}-range`}>
        {limits === null ? (
          "Looking how small it may be…"
        ) : (
          <>
            At least <b title={exactBytes(limits.smallest)}>{bytes(limits.smallest)}</b>: {readable(limits.because)} Larger is always safe.
          </>
        )}
      </p>
      {isRounded && (
        <p class="hint">
          The result will have <b title={exactBytes(planned)}>{bytes(planned)}</b>: the next size that {preset.label} takes.
        </p>
      )}
      {limits?.warnings.map((warning) => (
        <p key={warning} class="hint">
          {readable(warning)}
        </p>
      ))}
    </div>
  );
}

/** What is left out, by file system, before anything is written. */
function Saving({ slimmed }: { readonly slimmed: SlimCard }) {
  const { fileSystems, refused, savedBytes } = slimmed;
  const where = (partition: number | null): string => (partition === null ? "" : ` in partition ${partition}`);
  return (
    <>
      <p>
        {fileSystems.length === 0 && refused.length === 0
          ? "No file system was recognised: nothing is left out."
          : `${bytes(savedBytes)} of data less to write.`}
      </p>
      <ul class="savings">
        {fileSystems.map(({ partition, kind, freeBytes, savedBytes: saved, doubtfulBytes }) => (
          <li key={`${partition}`}>
            <b>
              {kind}
              {where(partition)}
            </b>
            : {bytes(saved)} less ({bytes(freeBytes)} are free)
            {doubtfulBytes > 0 && `; ${bytes(doubtfulBytes)} stay because what is said about them is in doubt`}
          </li>
        ))}
        {refused.map(({ partition, kind, why }) => (
          <li key={`${partition}`} class="warning">
            <b>
              {kind}
              {where(partition)}
            </b>{" "}
            stays whole: {why}
          </li>
        ))}
      </ul>
    </>
  );
}
