/** The bench page's one worker script: the bench itself, a block worker (`startWorkerPorts` starts this script again), or the floor's reader. */
import { createPool } from "../../src/blocks/pool.ts";
import type { FromWorker, ToWorker } from "../../src/blocks/protocol.ts";
import { serveBlocks } from "../../src/blocks/worker.ts";
import { hexText } from "../../src/core/hex.ts";
import type { ImageSink } from "../../src/core/ports.ts";
import { openDisk } from "../../src/jobs/chain.ts";
import { planConvert, runConvert } from "../../src/jobs/convert.ts";
import { createCompute } from "../../src/kernels/compute.ts";
import { createHasher } from "../../src/kernels/disk-hash.ts";
import { createKernels } from "../../src/kernels/index.ts";
import { fileSource, openBlob, readBlobRanges } from "../../src/platform/browser/file-source.ts";
import { createFileSink } from "../../src/platform/browser/picked-sink.ts";
import { createPrivateSink, outputFiles, removeOutput } from "../../src/platform/browser/private-store.ts";
import { expose } from "../../src/workers/rpc.ts";
import { startWorkerPorts } from "../../src/workers/worker-ports.ts";
import { pickedOutput, privateOutput, runFloor } from "./floor.ts";
import type { Bench } from "./protocol.ts";
import { type ReadOrder, readAll } from "./reader.ts";

/** The private folder of the bench's outputs. */
const JOB = "bench";

function createBench(): Bench {
  const kernels = createKernels();
  const compute = createCompute(kernels);
  const pool = createPool(startWorkerPorts(), createHasher(kernels));
  const { signal } = new AbortController();
  const file = async (name: string): Promise<File> => (await outputFiles(JOB, [name]))[0] as File;
  return {
    async convert(source, target, name, folder) {
      let close = 0;
      const createSink = async (files: readonly string[]): Promise<ImageSink> => {
        const sink =
          folder === null ? await createPrivateSink(JOB, files) : await createFileSink(await folder.getFileHandle(name, { create: true }));
        const timed = async (sizes: readonly number[]) => {
          const started = performance.now();
          const closed = await sink.close(sizes, signal);
          close = (performance.now() - started) / 1000;
          return closed;
        };
        return { ...sink, close: timed };
      };
      const ports = { pool, compute, createSink };
      const started = performance.now();
      const disk = await openDisk(fileSource(source), { resolve: async () => null, compute, signal });
      const request = { ...target, name, salvage: false, verify: false, checkSource: true };
      const result = await runConvert(await planConvert(disk, request, ports, signal), ports, () => {}, signal);
      const seconds = (performance.now() - started) / 1000 - close;
      return { seconds, close, written: result.written, size: result.files.reduce((sum, { size }) => sum + size, 0) };
    },
    async floor(source, load, name, folder) {
      const parent = folder ?? (await privateFolder());
      const handle = await parent.getFileHandle(name, { create: true });
      const output = folder === null ? await privateOutput(handle) : await pickedOutput(handle);
      return runFloor(source, load, output, () => new Worker(self.location.href, { type: "module", name: "reader" }));
    },
    async sha256(name) {
      const output = fileSource(await file(name));
      const hash = kernels.sha256();
      const step = 16 << 20;
      for (let at = 0; at < output.size; at += step) hash.update(await output.read(at, Math.min(step, output.size - at)));
      return hexText(hash.digest());
    },
    file,
    async remove(name, folder) {
      if (folder === null) await removeOutput(JOB);
      else await folder.removeEntry(name);
    },
  };
}

/** Where `createPrivateSink` makes its files. */
async function privateFolder(): Promise<FileSystemDirectoryHandle> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("outputs", { create: true });
  return root.getDirectoryHandle(JOB, { create: true });
}

const scope = self as unknown as DedicatedWorkerGlobalScope;
if (self.name === "bench") expose(createBench());
else if (self.name === "reader") scope.onmessage = ({ data }: MessageEvent<ReadOrder>) => void readAll(data, scope);
else {
  const receive = serveBlocks(openBlob, (message: FromWorker, transfer) => scope.postMessage(message, [...transfer]), readBlobRanges);
  scope.onmessage = ({ data }: MessageEvent<ToWorker>) => receive(data);
}
