import type { FromWorker, ToWorker, WorkerPort } from "./protocol.ts";

/** A worker that its first job starts: small disks need fewer of them than there are cores. */
export function lazyPort(start: () => WorkerPort): WorkerPort {
  let port: WorkerPort | null = null;
  const attached = new Map<number, ToWorker>();
  const onMessage: ((message: FromWorker) => void)[] = [];
  const onDeath: ((cause: unknown) => void)[] = [];
  const started = (): WorkerPort => {
    const worker = start();
    for (const handler of onMessage) worker.onMessage(handler);
    for (const handler of onDeath) worker.onDeath(handler);
    for (const message of attached.values()) worker.post(message, []);
    attached.clear();
    return worker;
  };
  return {
    post(message, transfer) {
      if (port === null && !("job" in message)) {
        if (message.type === "attach") attached.set(message.id, message);
        else if (message.type === "detach") attached.delete(message.id);
        return;
      }
      port ??= started();
      port.post(message, transfer);
    },
    onMessage: (handler) => void onMessage.push(handler),
    onDeath: (handler) => void onDeath.push(handler),
    end: () => port?.end(),
  };
}
