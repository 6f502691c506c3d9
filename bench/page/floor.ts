import type { Load, Run } from "./protocol.ts";
import type { ReadOrder } from "./reader.ts";

/**
 * What the browser itself needs: the source's bytes read in large slices, several at once, by a worker of their own, and as many bytes as
 * the conversion wrote written in large pieces one after another; nothing is computed, nothing is copied, both go on at the same time.
 */
export async function runFloor(source: Blob, load: Load, output: Output, readers: () => Worker): Promise<Run> {
  const started = performance.now();
  const worker = readers();
  let [taken, written] = [0, 0];
  let queue = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<ArrayBuffer | null>) => {
      if (data === null) return void queue.then(resolve, reject);
      taken += data.byteLength;
      // The output grows with the source, so that both end together.
      const due = Math.round((load.written * taken) / source.size);
      queue = queue.then(async () => {
        while (written < due) {
          const length = Math.min(data.byteLength, due - written);
          await output.write(written, new Uint8Array(data, 0, length));
          written += length;
        }
        worker.postMessage(null);
      });
      queue.catch(reject);
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage({ source } satisfies ReadOrder);
  });
  const closing = performance.now();
  await output.close(load.size);
  const ended = performance.now();
  worker.terminate();
  return { ...load, seconds: (closing - started) / 1000, close: (ended - closing) / 1000 };
}

interface Output {
  write(at: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  close(size: number): Promise<void>;
}

export async function privateOutput(handle: FileSystemFileHandle): Promise<Output> {
  const access = await handle.createSyncAccessHandle();
  return {
    async write(at, bytes) {
      if (access.write(bytes, { at }) !== bytes.length) throw new Error("the private file system took less than it was given");
    },
    async close(size) {
      access.truncate(size);
      access.flush();
      access.close();
    },
  };
}

export async function pickedOutput(handle: FileSystemFileHandle): Promise<Output> {
  const stream = await handle.createWritable();
  return {
    write: (position, data) => stream.write({ type: "write", position, data }),
    async close(size) {
      await stream.truncate(size);
      await stream.close();
    },
  };
}
