import type { GivenFiles } from "./given-file.ts";

interface LaunchWindow {
  readonly launchQueue?: { setConsumer(take: (launch: { readonly files?: readonly FileSystemHandle[] }) => void): void };
}

let waiting: FileSystemFileHandle[] = [];
let receive: ((files: Promise<GivenFiles>) => void) | null = null;

// Set as the module loads: a consumer set late would miss the files the page was opened with.
(globalThis as unknown as LaunchWindow).launchQueue?.setConsumer((launch) => {
  waiting.push(...(launch.files ?? []).filter((handle): handle is FileSystemFileHandle => handle.kind === "file"));
  handOver();
});

/** Files the system opened the installed page with: those that wait now, and every later launch. */
export function onLaunchedFiles(take: (files: Promise<GivenFiles>) => void): void {
  receive = take;
  handOver();
}

function handOver(): void {
  if (receive === null || waiting.length === 0) return;
  const handles = waiting;
  waiting = [];
  receive(
    Promise.all(handles.map(async (handle) => ({ file: await handle.getFile(), handle }))).then((files) => ({ files, folder: false })),
  );
}
