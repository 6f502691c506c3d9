import { expose, proxy, type Remote, transferHandlers, wrap } from "comlink";
import { fromPlainError, type PlainError, toPlainError } from "../core/errors.ts";

/** Comlink drops an error's class and fields; this restores DiskError on the other side. */
interface Thrown {
  readonly value: unknown;
}
transferHandlers.set("throw", {
  canHandle: (value): value is Thrown => typeof value === "object" && value !== null && "value" in value && isThrown(value),
  serialize: ({ value }: Thrown) => [toPlainError(value), []],
  deserialize: (plain: PlainError) => {
    throw fromPlainError(plain);
  },
});

/** Comlink marks what it is about to throw with a symbol of its own. */
function isThrown(value: object): boolean {
  return Object.getOwnPropertySymbols(value).some((symbol) => symbol.description === "Comlink.thrown");
}

export { expose, proxy, type Remote, wrap };
