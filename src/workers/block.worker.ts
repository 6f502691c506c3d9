import type { FromWorker, ToWorker } from "../blocks/protocol.ts";
import { serveBlocks } from "../blocks/worker.ts";
import { openBlob, readBlobRanges } from "../platform/browser/file-source.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;
const post = (message: FromWorker, transfer: readonly ArrayBuffer[]): void => scope.postMessage(message, [...transfer]);
const receive = serveBlocks(openBlob, post, readBlobRanges);
scope.onmessage = ({ data }: MessageEvent<ToWorker>) => receive(data);
