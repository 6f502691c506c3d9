/** A guest's write of whole sectors; `bytes` null: explicit zeros. */
export interface GuestWrite {
  readonly start: number;
  readonly length: number;
  readonly bytes: Uint8Array | null;
}
export interface GuestLayer {
  readonly size: number;
  readonly writes: readonly GuestWrite[];
}
export interface MadeChain {
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }[];
  readonly points: readonly { readonly name: string; readonly snapshot?: string }[];
  readonly shown: readonly Uint8Array[];
  readonly layers: readonly GuestLayer[];
}
/** The formats of six layers, from the base on. */
export declare const CHAINS: Readonly<Record<string, readonly string[]>>;
export declare function makeChain(formats: readonly string[], layers: readonly GuestLayer[]): MadeChain;
