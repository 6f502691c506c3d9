let working = false;
let wake: WakeLockSentinel | null = null;

/** While `on`: the screen stays awake as long as the page is visible, and closing the tab asks first. */
export function guardWork(on: boolean): void {
  if (on === working) return;
  working = on;
  if (on) {
    addEventListener("beforeunload", askFirst);
    document.addEventListener("visibilitychange", keepAwake);
    keepAwake();
  } else {
    removeEventListener("beforeunload", askFirst);
    document.removeEventListener("visibilitychange", keepAwake);
    void wake?.release();
    wake = null;
  }
}

function askFirst(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

/** The browser drops the wake lock whenever the page is hidden; a refusal (low battery) only means that the screen may sleep. */
function keepAwake(): void {
  if (document.visibilityState !== "visible" || !("wakeLock" in navigator)) return;
  navigator.wakeLock.request("screen").then(
    (sentinel) => {
      if (working) wake = sentinel;
      else void sentinel.release();
    },
    () => {},
  );
}

/** Shows progress outside the page: in the tab's title and, when installed, on the icon. Null: no job. */
export function showOutside(title: string, percent: number | null): void {
  document.title = title;
  if (!("setAppBadge" in navigator)) return;
  const done = percent === null ? navigator.clearAppBadge() : navigator.setAppBadge(percent);
  done.catch(() => {});
}
