/** `npm start`: installs what is missing, builds, serves the page on this machine and opens it. Ctrl+C stops it. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { build } from "./build.mjs";
import { root } from "./child.mjs";
import { ensureModules } from "./prepare.mjs";
import { listen, staticServer } from "./static-server.mjs";

const DEFAULT_PORT = 4173;

/** Shows the address in the user's browser; where that is not possible the printed address has to do. */
function open(url) {
  const { platform, env } = process;
  if (env.CI || (platform === "linux" && !env.DISPLAY && !env.WAYLAND_DISPLAY)) return;
  const openers = { darwin: ["open", url], win32: ["cmd", "/c", "start", "", url] };
  const [command, ...args] = openers[platform] ?? ["xdg-open", url];
  const child = spawn(command, args, { stdio: "ignore", detached: true });
  child.on("error", () => {});
  child.unref();
}

const port = Number(process.env.PORT || DEFAULT_PORT);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error(`PORT is ${process.env.PORT}, which is not a port number.`);
  process.exit(1);
}
await ensureModules();
console.log("Building …");
const failed = await build();
if (failed.length > 0) {
  console.error(`Could not build ${failed.join(" and ")}.`);
  process.exit(1);
}
const url = `http://127.0.0.1:${await listen(staticServer(join(root, "dist/page")), port, 20)}/`;
console.log(`\nSpindle is at ${url} (Ctrl+C stops it).\nIn the terminal: node dist/spindle.js --help\n`);
open(url);
