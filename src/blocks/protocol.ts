import type { PlainError } from "../core/errors.ts";
import type { Origin } from "../core/model.ts";
import type { BlockOrder, BlockResult, ZeroOrder } from "../core/ports.ts";

/** What the pool sends to a block worker. */
export type ToWorker =
  | {
      readonly type: "attach";
      readonly id: number;
      readonly name: string;
      readonly size: number;
      readonly origin: Origin | null;
    }
  | { readonly type: "detach"; readonly id: number }
  | { readonly type: "order"; readonly job: number; readonly order: BlockOrder; readonly supplies: readonly Supply[] }
  | { readonly type: "zeros"; readonly job: number; readonly order: ZeroOrder }
  /** A spent result buffer, to be filled again. */
  | { readonly type: "buffer"; readonly buffer: ArrayBuffer };

/** Bytes of a source that the worker cannot open itself, or why they could not be read (salvage orders only). */
export interface Supply {
  readonly source: number;
  readonly at: number;
  readonly length: number;
  readonly content: Uint8Array<ArrayBuffer> | PlainError;
}

export type FromWorker =
  | { readonly type: "done"; readonly job: number; readonly result: BlockResult }
  | { readonly type: "hashed"; readonly job: number; readonly hashes: Uint8Array<ArrayBuffer> }
  | { readonly type: "failed"; readonly job: number; readonly error: PlainError };

/** The end of a message channel that the pool talks to: a browser Worker, a Node worker thread. */
export interface WorkerPort {
  post(message: ToWorker, transfer: readonly ArrayBuffer[]): void;
  /** Set once, before the first post. */
  onMessage(handler: (message: FromWorker) => void): void;
  /** The worker died (out of memory, a trap); no further message comes. */
  onDeath(handler: (error: unknown) => void): void;
  end(): void;
}
