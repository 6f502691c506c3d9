/** What happened to one attempted request. `refusal` is null when it went through. */
export interface Attempt {
  readonly where: "page" | "worker";
  readonly how: string;
  readonly refusal: string | null;
}

/**
 * Where the attempts are aimed. It is on this page's own host, so that nothing would leave even if the lock failed;
 * `connect-src 'none'` refuses it all the same. The service worker answers it without the network, so that being
 * offline is not mistaken for being locked.
 */
export function testAddress(): string {
  return new URL("network-test", document.baseURI).href;
}

const policies = new Set<string>();
let refused = "";
document.addEventListener("securitypolicyviolation", (event) => {
  policies.add(event.originalPolicy);
  refused = `refused by the browser: ${event.effectiveDirective} does not allow ${new URL(testAddress()).pathname}`;
});

/** The policies that refused something here, as the browser reports them. */
export function policiesInForce(): readonly string[] {
  return [...policies];
}

/** Tries fetch and XMLHttpRequest from the page. A refusal counts only when the browser reports the policy that made it. */
export async function tryFromPage(): Promise<readonly Attempt[]> {
  return [await attempt("fetch", byFetch), await attempt("XHR", byRequest)];
}

async function attempt(how: string, send: () => Promise<boolean>): Promise<Attempt> {
  refused = "";
  const passed = await send();
  // The report of the violation is a task of its own and can come after the promise settles.
  for (let turn = 0; turn < 10 && !passed && refused === ""; turn++) await new Promise((resolve) => setTimeout(resolve, 20));
  return { where: "page", how, refusal: passed || refused === "" ? null : refused };
}

function byFetch(): Promise<boolean> {
  return fetch(testAddress(), { cache: "no-store" }).then(
    () => true,
    () => false,
  );
}

function byRequest(): Promise<boolean> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.addEventListener("load", () => resolve(true));
    request.addEventListener("error", () => resolve(false));
    try {
      request.open("GET", testAddress());
      request.send();
    } catch {
      resolve(false);
    }
  });
}
