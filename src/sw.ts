/**
 * The service worker: keeps the whole page for use without a network, and puts the lock headers on every response, so
 * that the page is locked in on hosts that cannot send headers. Worker scripts pass through here too: a policy on the
 * page alone does not bind them.
 */

/** Given by the build: addresses relative to this file, a name for exactly these bytes, and the headers. */
declare const __PRECACHE__: readonly string[];
declare const __VERSION__: string;
declare const __LOCK_HEADERS__: Readonly<Record<string, string>>;

const worker = globalThis as unknown as ServiceWorkerGlobalScope;

const PREFIX = "spindle-";
const CACHE = PREFIX + __VERSION__;
/** Where the page aims its attempts to reach the network. Answered here, so that being offline does not look like being locked. */
const TEST = "network-test";

worker.addEventListener("install", (event) => {
  event.waitUntil(store());
});

/** `reload` goes past the HTTP cache: a version is stored whole or not at all. */
async function store(): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll(__PRECACHE__.map((address) => new Request(address, { cache: "reload" })));
}

worker.addEventListener("activate", (event) => {
  event.waitUntil(takeOver());
});

/** The version before this one stays: a tab that still shows it may yet ask for one of its parts. */
async function takeOver(): Promise<void> {
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(others.slice(0, -1).map((name) => caches.delete(name)));
  await worker.clients.claim();
}

// A new version waits until the page asks: taking over reloads the page, and would end a running conversion.
worker.addEventListener("message", (event) => {
  if (event.data === "activate") void worker.skipWaiting();
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  // Developer tools make such requests; answering one from elsewhere is a TypeError.
  if (request.cache === "only-if-cached" && request.mode !== "same-origin") return;
  event.respondWith(answer(request));
});

async function answer(request: Request): Promise<Response> {
  const url = new URL(request.url);
  if (url.origin !== worker.location.origin) return Response.error();
  if (url.pathname === new URL(TEST, worker.registration.scope).pathname) return locked(new Response(null, { status: 204 }));
  // All that the page needs is stored: asking the host for more would be a way out, even of the same origin.
  return (await stored(request).then((found) => found && locked(found))) ?? Response.error();
}

/** This version's files first; a part of the version before only when this one has none of that name. */
async function stored(request: Request): Promise<Response | undefined> {
  if (request.method !== "GET") return undefined;
  const cache = await caches.open(CACHE);
  const isPage = request.mode === "navigate" && isStart(request.url);
  const found = isPage ? await cache.match("./") : await cache.match(request, { ignoreSearch: true });
  return found ?? caches.match(request, { ignoreSearch: true });
}

function isStart(address: string): boolean {
  const { pathname } = new URL(address);
  const scope = new URL(worker.registration.scope).pathname;
  return pathname === scope || pathname === `${scope}index.html`;
}

/** Status 0 is an opaque or failed response: it has no headers to write and passes as it is. */
function locked(response: Response): Response {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(__LOCK_HEADERS__)) headers.set(name, value);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
