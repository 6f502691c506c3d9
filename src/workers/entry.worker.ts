/**
 * The one worker script: the engine, or a block worker, by the name that it is started with. Both come from one build, so that what both
 * use (kernels, decoders) lies in the installed page once.
 */
const early: MessageEvent[] = [];
/** What arrives while the rest loads waits: nobody else hears it. */
const keep = (event: MessageEvent): void => {
  event.stopImmediatePropagation();
  early.push(event);
};
self.addEventListener("message", keep);
await (self.name === "engine" ? import("./engine.worker.ts") : import("./block.worker.ts"));
self.removeEventListener("message", keep);
for (const { data, ports } of early) self.dispatchEvent(new MessageEvent("message", { data, ports: [...ports] }));

export {};
