// First of all: a file that opened the page waits here from the moment this module runs.
import "./platform/window/launch-queue.ts";
import { render } from "preact";
import { App } from "./ui/app.tsx";
import { start } from "./ui/start.ts";
import "./ui/spindle.css";

const root = document.getElementById("app");
if (root !== null) {
  render(<App />, root);
  start();
}
