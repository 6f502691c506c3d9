/** Shipped by Chromium, not yet in the compiler's library (fs.spec.whatwg.org, issues #10 and #9). */
interface FileSystemFileHandle {
  move(name: string): Promise<void>;
  remove(): Promise<void>;
}
