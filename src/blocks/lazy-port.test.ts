import { expect, test } from "vitest";
import { lazyPort } from "./lazy-port.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";

const attach = (id: number): ToWorker => ({ type: "attach", id, name: `${id}`, size: 1, origin: null });
const order = (job: number): ToWorker => ({ type: "order", job, order: {} as never, supplies: [] });

const zeros = (job: number): ToWorker => ({ type: "zeros", job, order: { diskSize: 1, ranges: [] } });

test.each([order, zeros])(
  "the first job starts the worker, which then knows what is attached, and its answers and its death arrive",
  (first) => {
    const posted: ToWorker[] = [];
    const heard: unknown[] = [];
    let answer: (message: FromWorker) => void = () => {};
    let die: (cause: unknown) => void = () => {};
    let starts = 0;
    let ended = 0;
    const port = lazyPort(() => {
      starts++;
      return {
        post: (message) => void posted.push(message),
        onMessage: (handler) => {
          answer = handler;
        },
        onDeath: (handler) => {
          die = handler;
        },
        end: () => void ended++,
      };
    });
    port.onMessage((message) => heard.push(message));
    port.onDeath((cause) => heard.push(cause));
    for (const message of [
      attach(1),
      attach(2),
      { type: "detach", id: 1 } as const,
      { type: "buffer", buffer: new ArrayBuffer(1) } as const,
    ])
      port.post(message, []);
    port.end();
    expect([starts, ended]).toEqual([0, 0]);
    port.post(first(7), []);
    port.post(attach(3), []);
    expect(starts).toBe(1);
    expect(posted.map((message) => ("job" in message ? message.job : "id" in message ? message.id : null))).toEqual([2, 7, 3]);
    answer({ type: "failed", job: 7, error: {} as never });
    die("trap");
    expect(heard).toEqual([{ type: "failed", job: 7, error: {} }, "trap"]);
    port.end();
    expect(ended).toBe(1);
  },
);
