import type { ComponentChildren } from "preact";
import { canPickOutput, pickFiles, pickFolder } from "../platform/window/pickers.ts";
import { bytes, moment } from "./quantities.ts";
import { addSample } from "./state/images.ts";
import { intakeFailure, open, taking } from "./state/intake.ts";
import { networkLock } from "./state/network-lock.ts";
import { forgetRecent, recents, reopenRecent } from "./state/recents.ts";

export function StartScreen({ children }: { readonly children: ComponentChildren }) {
  return (
    <div class="start">
      <h1>Convert virtual machine disks. Here, on your computer.</h1>
      <p class="lead">
        qcow2, VMDK, VDI, VHD, VHDX, raw and many more, of any size. Every result is read back and compared block by block.
      </p>
      {children}
      <div class="drop-place">
        <svg viewBox="0 0 48 48" aria-hidden="true">
          <path d="M24 6v22m0 0-8-8m8 8 8-8" />
          <path d="M8 30v8a3 3 0 0 0 3 3h26a3 3 0 0 0 3-3v-8" />
        </svg>
        <p>Drop a disk, its parts, or a whole VM folder</p>
        <div class="actions">
          <button type="button" class="primary" data-primary onClick={() => open(pickFiles())}>
            Open files
          </button>
          <button type="button" onClick={() => open(pickFolder())}>
            Open folder
          </button>
          <button type="button" class="quiet" onClick={sample}>
            Try a sample
          </button>
        </div>
        {taking.value && <p class="hint">Looking through the files…</p>}
      </div>
      {!canPickOutput() && (
        <p class="hint">This browser saves results as downloads. Chrome and Edge can write straight into a file that you choose.</p>
      )}
      <Recents />
      <Proof />
    </div>
  );
}

export function OpenButtons() {
  return (
    <div class="actions">
      <button type="button" onClick={() => open(pickFiles())}>
        Open files
      </button>
      <button type="button" onClick={() => open(pickFolder())}>
        Open folder
      </button>
    </div>
  );
}

async function sample(): Promise<void> {
  try {
    await addSample();
  } catch (failure) {
    intakeFailure.value = failure;
  }
}

function Proof() {
  const { state, offline } = networkLock.value;
  return (
    <ul class="proof">
      <li>
        <b>{state === "on" ? "The browser blocks the network for this page." : "The network lock is being set up."}</b> Open the badge above
        to see it tried.
      </li>
      <li>
        <b>{offline ? "Works without a network." : "Not stored for offline use."}</b>{" "}
        {offline ? "Turn Wi-Fi off and go on." : "That needs https and a browser that allows service workers."}
      </li>
      <li>
        <b>Your files are only read.</b> Results go where you say, and a half-written one is removed.
      </li>
    </ul>
  );
}

function Recents() {
  if (recents.value.length === 0) return null;
  return (
    <section class="recents" aria-label="Recent files">
      <h2>Recent files</h2>
      <ul>
        {recents.value.map((recent) => (
          <li key={`${recent.name}${recent.when}`}>
            <button
              type="button"
              class="quiet name"
              onClick={() => open(reopenRecent(recent).then((one) => one && { files: [one], folder: false }))}
            >
              {recent.name}
            </button>
            <span>
              {recent.format}, {bytes(recent.size)}
            </span>
            <span>{moment(recent.when)}</span>
            <button type="button" class="small quiet" aria-label={`Forget ${recent.name}`} onClick={() => forgetRecent(recent)}>
              Forget
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
