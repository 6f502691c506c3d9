/** The few platform names that the pure layers may use; everything else must arrive through an interface. */
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(bytes: Uint8Array): string;
}
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
}
/** The part of Web Crypto that key derivation uses; browsers offer it to secure pages only. */
declare const crypto: {
  readonly subtle?: {
    digest(algorithm: string, data: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer>;
    importKey(format: "raw", key: Uint8Array<ArrayBuffer>, algorithm: "PBKDF2", extractable: false, uses: "deriveBits"[]): Promise<object>;
    deriveBits(
      algorithm: { name: "PBKDF2"; hash: string; salt: Uint8Array<ArrayBuffer>; iterations: number },
      key: object,
      bits: number,
    ): Promise<ArrayBuffer>;
  };
};
