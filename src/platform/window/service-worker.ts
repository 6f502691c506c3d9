export type Control = "controlled" | "ready" | "unavailable";

/** Called when a new version has been stored and waits. */
type UpdateListener = () => void;

let registration: ServiceWorkerRegistration | null = null;

/**
 * Registers the service worker and waits until it is active. `controlled`: this page was loaded through it;
 * `ready`: it runs, but this page was loaded before it did.
 */
export async function startServiceWorker(updateWaits: UpdateListener): Promise<Control> {
  if (!("serviceWorker" in navigator)) return "unavailable";
  const controlled = navigator.serviceWorker.controller !== null;
  try {
    registration = await navigator.serviceWorker.register(new URL("sw.js", document.baseURI), { updateViaCache: "none" });
  } catch {
    return controlled ? "controlled" : "unavailable";
  }
  watchUpdates(registration, updateWaits);
  if (!(await activates(registration))) return "unavailable";
  return controlled ? "controlled" : "ready";
}

/** False when the first version could not be stored; `navigator.serviceWorker.ready` would then wait for ever. */
function activates(of: ServiceWorkerRegistration): Promise<boolean> {
  const worker = of.active ?? of.waiting ?? of.installing;
  if (of.active !== null || worker === null) return Promise.resolve(of.active !== null);
  return new Promise((resolve) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve(true);
      if (worker.state === "redundant") resolve(false);
    });
  });
}

function watchUpdates(of: ServiceWorkerRegistration, updateWaits: UpdateListener): void {
  const tell = () => {
    if (of.waiting !== null && navigator.serviceWorker.controller !== null) updateWaits();
  };
  tell();
  of.addEventListener("updatefound", () => of.installing?.addEventListener("statechange", tell));
}

/** Lets the waiting version take over and loads it. The caller has made sure that no tab converts. */
export function takeUpdate(): void {
  const waiting = registration?.waiting ?? null;
  if (waiting === null) return;
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  waiting.postMessage("activate");
}

const RELOADED = "spindle-reloaded-to-lock";

/** Loads the page again through the service worker, once per tab: a browser that refuses must not make a loop. */
export function reloadOnceToLock(): boolean {
  if (sessionStorage.getItem(RELOADED) !== null) return false;
  sessionStorage.setItem(RELOADED, "1");
  location.reload();
  return true;
}

export function reloadToLock(): void {
  location.reload();
}
