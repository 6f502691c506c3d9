import { CancelDialog } from "./cancel-dialog.tsx";
import { ImageArticle } from "./image-card.tsx";
import { lazily } from "./lazy.tsx";
import { OpenButtons, StartScreen } from "./start-screen.tsx";
import { announced } from "./state/announcements.ts";
import { update, updateHeld, updateWaits } from "./state/app-update.ts";
import { type Appearance, appearance } from "./state/appearance.ts";
import { entries } from "./state/images.ts";
import { dragging, taking } from "./state/intake.ts";
import { type LockState, networkLock } from "./state/network-lock.ts";
import { panel } from "./state/panels.ts";
import { route } from "./state/route.ts";
import { IntakeFailure, UnfinishedBanners } from "./unfinished-banner.tsx";

const Help = lazily(() => import("./help.tsx").then((module) => module.Help));
const LockPanel = lazily(() => import("./lock-panel.tsx").then((module) => module.LockPanel));
const KeysPanel = lazily(() => import("./keys-panel.tsx").then((module) => module.KeysPanel));

export function App() {
  const at = route.value;
  return (
    <>
      <Header />
      <main>{at.page === "help" ? <Help section={at.section} /> : <Work />}</main>
      <Footer />
      {dragging.value && (
        <div class="drop-veil" aria-hidden="true">
          <p>Drop to open</p>
        </div>
      )}
      {panel.value === "lock" && <LockPanel />}
      {panel.value === "keys" && <KeysPanel />}
      <CancelDialog />
      {updateWaits.value && <UpdateToast />}
      <p class="visually-hidden" aria-live="polite" aria-atomic="true">
        {announced}
      </p>
    </>
  );
}

function Header() {
  return (
    <header class="top">
      <a class="brand" href="#work">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <circle cx="12" cy="12" r="9.5" class="faint" />
          <path d="M12 2.5a9.5 9.5 0 0 1 9.5 9.5" />
          <circle cx="12" cy="12" r="5.4" class="faint" />
          <path d="M12 17.4A5.4 5.4 0 0 1 6.600 12" />
          <circle cx="12" cy="12" r="1.6" class="hub" />
        </svg>
        Spindle
      </a>
      <nav aria-label="Page">
        <LockBadge />
        <a href="#help">Help</a>
        <ThemeSelect />
      </nav>
    </header>
  );
}

const LOCK_TEXT: Readonly<Record<LockState, string>> = {
  checking: "checking",
  reload: "reload needed",
  on: "on",
  off: "off",
};

function LockBadge() {
  const { state } = networkLock.value;
  return (
    <button
      type="button"
      class={state === "on" ? "badge on" : "badge"}
      aria-haspopup="dialog"
      onClick={() => {
        panel.value = "lock";
      }}
    >
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <rect x="3" y="7" width="10" height="7" rx="1.5" />
        <path d={state === "on" ? "M5 7V5a3 3 0 0 1 6 0v2" : "M5 7V4.500a3 3 0 0 1 5.800-1"} />
      </svg>
      <span>Network lock: {LOCK_TEXT[state]}</span>
    </button>
  );
}

function ThemeSelect() {
  return (
    <select
      aria-label="Colours"
      class="small"
      value={appearance.value}
      onChange={(event) => {
        appearance.value = event.currentTarget.value as Appearance;
      }}
    >
      <option value="system">Auto</option>
      <option value="light">Light</option>
      <option value="dark">Dark</option>
    </select>
  );
}

function Work() {
  const list = entries.value;
  // A card tells by itself that its image is being opened.
  const looking = taking.value && list.every(({ opening }) => opening.value === null);
  if (list.length === 0) {
    return (
      <StartScreen>
        <UnfinishedBanners />
        <IntakeFailure />
      </StartScreen>
    );
  }
  return (
    <>
      <div class="toolbar">
        <h1>{list.length === 1 ? "One disk" : `${list.length} disks`}</h1>
        <OpenButtons />
      </div>
      <UnfinishedBanners />
      <IntakeFailure />
      {looking && <p class="hint">Looking through the files…</p>}
      {list.map((entry) => (
        <ImageArticle key={entry.key} entry={entry} />
      ))}
    </>
  );
}

function Footer() {
  const { state, offline } = networkLock.value;
  return (
    <footer>
      <p>
        {state === "on"
          ? "Fetch, XHR, WebSocket, beacons, images and forms to any server are blocked by the browser."
          : "The network lock is not on yet."}{" "}
        {offline ? "Stored for use without a network." : ""} No account, no telemetry, no files from third parties.
      </p>
      <button
        type="button"
        class="small quiet"
        onClick={() => {
          panel.value = "keys";
        }}
      >
        Keys <kbd>?</kbd>
      </button>
    </footer>
  );
}

function UpdateToast() {
  return (
    <div class="toast" role="status">
      <p>
        <b>New version ready.</b>{" "}
        {updateHeld.value ? "A conversion is running: reload when it is done." : "Reloading closes the open cards."}
      </p>
      <div class="actions">
        <button type="button" onClick={update}>
          Reload
        </button>
        <button
          type="button"
          class="quiet"
          onClick={() => {
            updateWaits.value = false;
          }}
        >
          Later
        </button>
      </div>
    </div>
  );
}
