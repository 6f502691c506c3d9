/**
 * The headers that lock the page in: the one place where they stand. The build writes them into `_headers`, into the
 * page (as a meta tag) and into the service worker; the static server sends them; docs/hosting.md shows them.
 * They belong on every response: a policy on the page alone does not bind a worker that is loaded from an address.
 */
const directives = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'none'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
];

export const lockHeaders = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Content-Security-Policy": directives.join("; "),
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

/** The service worker fetches the page's own files to keep them; under `connect-src 'none'` it could not even install. */
const SERVICE_WORKER = "sw.js";
const serviceWorkerHeaders = {
  ...lockHeaders,
  "Content-Security-Policy": lockHeaders["Content-Security-Policy"].replace("connect-src 'none'", "connect-src 'self'"),
};

/** The headers for a file of the page, by its path in the page's folder. */
export const headersFor = (file) => (file === SERVICE_WORKER ? serviceWorkerHeaders : lockHeaders);

/** The policy for a meta tag, where `frame-ancestors` is not allowed (CSP level 3, section 3.3). */
export const metaPolicy = directives.filter((directive) => !directive.startsWith("frame-ancestors")).join("; ");

/**
 * The `_headers` file that Cloudflare Pages and Netlify read, for these files of the page. No two rules match one address:
 * both hosts would join the two policies, and the stricter one would then hold for the service worker too.
 */
export function headersFile(files) {
  const places = new Set(files.map((file) => (file.includes("/") ? `/${file.split("/", 1)[0]}/*` : `/${file}`)));
  const rule = (place, headers) => [place, ...Object.entries(headers).map(([name, value]) => `  ${name}: ${value}`)];
  const forEver = { "Cache-Control": "public, max-age=31536000, immutable" };
  return [
    ...["/", ...places].flatMap((place) => rule(place, place === "/assets/*" ? { ...lockHeaders, ...forEver } : lockHeaders)),
    ...rule(`/${SERVICE_WORKER}`, { ...serviceWorkerHeaders, "Cache-Control": "no-cache" }),
    "",
  ].join("\n");
}
