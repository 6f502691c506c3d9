import type { SectorCipher, SectorCipherName } from "../core/ports.ts";
import { decodeBase64 } from "./base64.ts";
import { createMemory, PAGE } from "./memory.ts";
import { digest } from "./pbkdf2.ts";

/** The exports of assembly/aes: places are offsets into the memory, lengths are bytes. */
interface AesExports {
  heapBase(): number;
  preparedBytes(): number;
  setUp(): void;
  prepareKey(key: number, from: number, length: number): void;
  decryptSectors(at: number, sectors: number, first: number, bits: 32 | 64, key: number, tweak: number, essiv: number): void;
}

const SECTOR = 512;
/** The kernel's least memory; a key or its part of the data fits many times over. */
const MEMORY_BYTES = 1 << 20;
const DATA_BYTES = 1 << 19;

let compiled: WebAssembly.Module | undefined;

/** One key with a memory of its own (1 MiB). The module is part of the program and loads when first asked for. */
export async function createSectorCipher(name: SectorCipherName, key: Uint8Array): Promise<SectorCipher> {
  if (compiled === undefined) {
    const { AES_BASE64 } = await import("../../build/aes.js");
    compiled = new WebAssembly.Module(decodeBase64(AES_BASE64));
  }
  const memory = createMemory(MEMORY_BYTES / PAGE, MEMORY_BYTES / PAGE);
  const aes = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as AesExports;
  const room = new Uint8Array(memory.buffer);
  const data = MEMORY_BYTES - DATA_BYTES;
  let next = Math.ceil(aes.heapBase() / 16) * 16;
  const prepare = (bytes: Uint8Array): number => {
    if (![16, 24, 32].includes(bytes.length)) throw new Error(`AES has no keys of ${bytes.length} bytes`);
    room.set(bytes, data);
    const place = next;
    aes.prepareKey(place, data, bytes.length);
    next += aes.preparedBytes();
    return place;
  };
  aes.setUp();
  const [mode, vector] = name.split("-");
  const half = key.length / 2;
  const main = prepare(mode === "xts" ? key.subarray(0, half) : key);
  const tweak = mode === "xts" ? prepare(key.subarray(half)) : 0;
  // dm-crypt documentation: ESSIV's key is the hash of the whole key, of XTS too.
  const essiv = vector === "essiv:sha256" ? prepare(await digest("sha256", key)) : 0;
  const bits = vector === "plain" ? 32 : 64;
  return {
    decrypt(sectors, first) {
      if (sectors.length % SECTOR !== 0) throw new Error(`${sectors.length} bytes are not whole sectors`);
      for (let at = 0; at < sectors.length; at += DATA_BYTES) {
        const part = sectors.subarray(at, at + DATA_BYTES);
        room.set(part, data);
        aes.decryptSectors(data, part.length / SECTOR, first + at / SECTOR, bits, main, tweak, essiv);
        part.set(room.subarray(data, data + part.length));
      }
    },
  };
}
