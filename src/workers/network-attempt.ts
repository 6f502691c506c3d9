/** Tries a request; null when it went through, or no policy spoke. A refusal counts only when the browser reports the policy that made it; being offline is not being locked. */
export async function tryNetwork(url: string): Promise<string | null> {
  const refused = new Promise<string>((resolve) => {
    const report = (event: Event): void => resolve(`refused by the browser: ${(event as SecurityPolicyViolationEvent).effectiveDirective}`);
    self.addEventListener("securitypolicyviolation", report, { once: true });
  });
  const passed = await fetch(url, { cache: "no-store" }).then(
    () => true,
    () => false,
  );
  if (passed) return null;
  const silent = new Promise<null>((resolve) => setTimeout(() => resolve(null), 200));
  return Promise.race([refused, silent]);
}
