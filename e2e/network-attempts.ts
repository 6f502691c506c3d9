/** The ways in which a script could send something out; each asks for its own path, so that a log can tell them apart. */
export const PAGE_WAYS = [
  "fetch",
  "fetch-no-cors",
  "xhr",
  "websocket",
  "event-source",
  "beacon",
  "img",
  "script",
  "css",
  "prefetch",
  "iframe",
  "form",
  "import",
  "blob-worker",
  "worker-by-address",
] as const;

export const WORKER_WAYS = ["fetch", "fetch-no-cors", "xhr", "websocket", "event-source", "import", "blob-worker"] as const;
/** Only a classic worker has it. */
export const CLASSIC_WORKER_WAYS = [...WORKER_WAYS, "import-scripts"] as const;

export interface Target {
  /** Another origin, "http://127.0.0.1:1234". */
  readonly origin: string;
  /** First part of the paths. */
  readonly from: string;
}

/** Runs in the page. Every way is tried, whatever becomes of the ones before it. */
export async function tryFromPage({ origin, from }: Target): Promise<void> {
  const at = (way: string) => `${origin}/${from}/${way}`;
  const attempt = async (way: () => unknown) => {
    try {
      await Promise.race([way(), new Promise((resolve) => setTimeout(resolve, 400))]);
    } catch {} // refused
  };
  const add = (tag: string, set: (element: HTMLElement) => void) => {
    const element = document.createElement(tag);
    set(element);
    document.body.append(element);
    return element;
  };
  const attribute = (name: string, value: string) => (element: HTMLElement) => element.setAttribute(name, value);
  await attempt(() => fetch(at("fetch")));
  await attempt(() => fetch(at("fetch-no-cors"), { mode: "no-cors", method: "POST", body: "secret" }));
  await attempt(() => {
    const request = new XMLHttpRequest();
    request.open("GET", at("xhr"));
    request.send();
  });
  await attempt(() => new WebSocket(at("websocket").replace("http", "ws")));
  await attempt(() => new EventSource(at("event-source")));
  await attempt(() => navigator.sendBeacon(at("beacon"), "secret"));
  await attempt(() => add("img", attribute("src", at("img"))));
  await attempt(() => add("script", attribute("src", at("script"))));
  await attempt(() => {
    add("link", (link) => {
      link.setAttribute("rel", "stylesheet");
      link.setAttribute("href", at("css"));
    });
  });
  await attempt(() => {
    add("link", (link) => {
      link.setAttribute("rel", "prefetch");
      link.setAttribute("href", at("prefetch"));
    });
  });
  await attempt(() => add("iframe", attribute("src", at("iframe"))));
  await attempt(() => {
    add("iframe", attribute("name", "answer"));
    const form = add("form", attribute("action", at("form"))) as HTMLFormElement;
    form.method = "post";
    form.target = "answer";
    form.submit();
  });
  await attempt(() => import(at("import")));
  await attempt(() => new Worker(URL.createObjectURL(new Blob([`fetch("${at("blob-worker")}").catch(() => {})`]))));
  await attempt(() => new Worker(URL.createObjectURL(new Blob([`importScripts("${at("worker-by-address")}")`]))));
  await new Promise((resolve) => setTimeout(resolve, 300));
}

/** Runs in a worker. */
export async function tryFromWorker({ origin, from }: Target): Promise<void> {
  const at = (way: string) => `${origin}/${from}/${way}`;
  const attempt = async (way: () => unknown) => {
    try {
      await Promise.race([way(), new Promise((resolve) => setTimeout(resolve, 400))]);
    } catch {} // refused
  };
  await attempt(() => fetch(at("fetch")));
  await attempt(() => fetch(at("fetch-no-cors"), { mode: "no-cors", method: "POST", body: "secret" }));
  await attempt(() => {
    const request = new XMLHttpRequest();
    request.open("GET", at("xhr"));
    request.send();
  });
  await attempt(() => new WebSocket(at("websocket").replace("http", "ws")));
  await attempt(() => new EventSource(at("event-source")));
  await attempt(() => import(at("import")));
  await attempt(() => new Worker(URL.createObjectURL(new Blob([`fetch("${at("blob-worker")}").catch(() => {})`]))));
  await attempt(() => (globalThis as unknown as { importScripts(address: string): void }).importScripts(at("import-scripts")));
  await new Promise((resolve) => setTimeout(resolve, 300));
}
