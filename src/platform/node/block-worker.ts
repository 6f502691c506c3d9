import { closeSync, openSync, read as readFd } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { FromWorker, ToWorker } from "../../blocks/protocol.ts";
import { serveBlocks, type WorkerFile } from "../../blocks/worker.ts";
import { DiskError } from "../../core/errors.ts";
import { reasonOf } from "./file-source.ts";

/** Opens a path for one worker thread. */
function openPath(handle: unknown, name: string): WorkerFile {
  const fd = openForReading(handle as string, name);
  return {
    read: (at, length, room) => readAll(fd, name, at, room(length)),
    close: () => closeSync(fd),
  };
}

function openForReading(path: string, name: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new DiskError("io", `${name} cannot be opened: ${reasonOf(cause as NodeJS.ErrnoException)}`, { file: name, cause });
  }
}

async function readAll(fd: number, name: string, at: number, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const { length } = bytes;
  for (let done = 0; done < length; ) {
    const count = await new Promise<number>((resolve, reject) => {
      readFd(fd, bytes, done, length - done, at + done, (cause, n) => {
        if (cause === null) resolve(n);
        else
          reject(
            new DiskError("io", `${name} cannot be read at byte ${at + done}: ${reasonOf(cause)}`, { file: name, at: at + done, cause }),
          );
      });
    });
    if (count === 0) throw new DiskError("io", `${name} became shorter while it was being read`, { file: name, at: at + done });
    done += count;
  }
  return bytes;
}

if (parentPort !== null) {
  const port = parentPort;
  const post = (message: FromWorker, transfer: readonly ArrayBuffer[]): void => port.postMessage(message, [...transfer]);
  const receive = serveBlocks(openPath, post);
  port.on("message", (message: ToWorker) => receive(message));
}
