import { createEngine } from "./engine.ts";
import { expose } from "./rpc.ts";

expose(createEngine());
