const SLICE = 16 << 20;
const IN_FLIGHT = 4;

export interface ReadOrder {
  readonly source: Blob;
}

/**
 * The floor's reading: slices of 16 MiB, four at a time, handed on in order. An answer of null says that one was used up; at most twice
 * as many as are read at once wait to be used, then reading waits too.
 */
export async function readAll({ source }: ReadOrder, scope: DedicatedWorkerGlobalScope): Promise<void> {
  let unused = 0;
  let wake: () => void = () => {};
  scope.onmessage = () => {
    unused--;
    wake();
  };
  const flying: Promise<ArrayBuffer>[] = [];
  let at = 0;
  while (at < source.size || flying.length > 0) {
    for (; at < source.size && flying.length < IN_FLIGHT; at += SLICE) flying.push(source.slice(at, at + SLICE).arrayBuffer());
    const buffer = (await flying.shift()) as ArrayBuffer;
    while (unused >= 2 * IN_FLIGHT) await new Promise<void>((resolve) => (wake = resolve));
    unused++;
    scope.postMessage(buffer, [buffer]);
  }
  scope.postMessage(null);
}
