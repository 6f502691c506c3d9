/** The bench page: keeps the source and the folder that the driver has given, and starts what the driver asks for. */
import { wrap } from "../../src/workers/rpc.ts";
import type { Bench, Load, Place, Run, Target } from "./protocol.ts";

const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "bench" });
const remote = wrap<Bench>(worker) as unknown as Bench;
const input = document.querySelector("input") as HTMLInputElement;
let folder: FileSystemDirectoryHandle | null = null;

for (const type of ["dragenter", "dragover"]) addEventListener(type, (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  const item = event.dataTransfer?.items[0] as unknown as { getAsFileSystemHandle(): Promise<FileSystemDirectoryHandle> };
  folder = await item.getAsFileSystemHandle();
  document.title = "folder taken";
});

const source = (): File => input.files?.[0] as File;
const at = (place: Place): FileSystemDirectoryHandle | null => {
  if (place === "picked" && folder === null) throw new Error("no folder was dropped");
  return place === "private" ? null : folder;
};

const bench = {
  /** Of the dropped folder; "open" while the browser asks. */
  permission: "open",
  askPermission(): void {
    const asked = folder as unknown as { requestPermission(how: { mode: string }): Promise<string> };
    void asked.requestPermission({ mode: "readwrite" }).then(
      (answer) => (bench.permission = answer),
      (error: unknown) => (bench.permission = String(error)),
    );
  },
  convert: (target: Target, name: string, place: Place): Promise<Run> => remote.convert(source(), target, name, at(place)),
  floor: (load: Load, name: string, place: Place): Promise<Run> => remote.floor(source(), load, name, at(place)),
  /** Seconds of closing `count` picked files that hold the source between them, all at once or one after another. */
  async close(count: number, together: boolean): Promise<number> {
    const place = at("picked") as FileSystemDirectoryHandle;
    const part = source().size / count;
    const streams: FileSystemWritableFileStream[] = [];
    for (let i = 0; i < count; i++) {
      const stream = await (await place.getFileHandle(`part-${i}`, { create: true })).createWritable();
      await stream.write(source().slice(i * part, (i + 1) * part));
      streams.push(stream);
    }
    const started = performance.now();
    if (together) await Promise.all(streams.map((stream) => stream.close()));
    else for (const stream of streams) await stream.close();
    const seconds = (performance.now() - started) / 1000;
    for (let i = 0; i < count; i++) await place.removeEntry(`part-${i}`);
    return seconds;
  },
  sha256: (name: string): Promise<string> => remote.sha256(name),
  remove: (name: string, place: Place): Promise<void> => remote.remove(name, at(place)),
  async download(name: string): Promise<void> {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await remote.file(name));
    link.download = name;
    link.click();
  },
};
Object.assign(globalThis, { bench });
