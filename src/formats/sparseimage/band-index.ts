import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { Header, IndexNode, NODE_BYTES, SIGNATURE } from "./spec.ts";

/** Where the bands lie that the file has; a band that it does not have is zero. */
export interface BandIndex {
  /** Numbers of the bands from 0, ascending, without repetition. */
  readonly bands: Float64Array;
  /** Byte of the file at which each one's data begins. */
  readonly places: Float64Array;
  /** Byte of the file that holds each one's entry. */
  readonly entries: Float64Array;
  /** Bands that more than one entry names. */
  readonly shared: ReadonlySet<number>;
  /** Entries that name a band past the end of the disk. */
  readonly beyond: number;
}

interface Entry {
  readonly band: number;
  readonly place: number;
  readonly entry: number;
}

/**
 * Walks the chain of index nodes: each holds numbers of bands (from 1; 0: no band), whose data stand behind the node in that order.
 * A node takes 4 KiB for 1,010 bands, so this reads little even of a large file.
 */
export async function readBandIndex(
  file: ByteSource,
  header: Uint8Array,
  bandBytes: number,
  bandCount: number,
  signal?: AbortSignal,
): Promise<BandIndex> {
  const found: Entry[] = [];
  let beyond = 0;
  /** Returns where the node's last band ends. */
  const take = (node: Uint8Array, headBytes: number, at: number): number => {
    const view = new DataView(node.buffer, node.byteOffset, NODE_BYTES);
    let end = at + NODE_BYTES;
    for (let offset = headBytes, slot = 0; offset < NODE_BYTES; offset += 4, slot++) {
      const number = view.getUint32(offset);
      if (number === 0) continue;
      const place = at + NODE_BYTES + slot * bandBytes;
      end = place + bandBytes;
      if (number > bandCount) beyond++;
      else found.push({ band: number - 1, place, entry: at + offset });
    }
    return end;
  };
  let end = take(header, Header.bytes, 0);
  let next = Header.read(header).nextNode;
  for (let before = 0, field = Header.offsetOf("nextNode"); next !== 0n; ) {
    signal?.throwIfAborted();
    // A node behind the bands of the one before: no band is lost under it, and a chain neither turns back nor holds more than the file.
    if (next < BigInt(end) || next + BigInt(NODE_BYTES) > BigInt(file.size))
      throw new DiskError(
        "corrupt",
        `sparseimage: nextNode is ${next}, expected a place from byte ${end} on inside the file of ${file.size} bytes`,
        { file: file.name, at: before + field },
      );
    const at = Number(next);
    const node = await file.read(at, NODE_BYTES, signal);
    const fields = IndexNode.read(node);
    if (fields.signature !== SIGNATURE)
      throw new DiskError("corrupt", `sparseimage: signature of an index node is 0x${fields.signature.toString(16)}, expected "sprs"`, {
        file: file.name,
        at,
      });
    end = take(node, IndexNode.bytes, at);
    before = at;
    field = IndexNode.offsetOf("nextNode");
    next = fields.nextNode;
  }
  return { ...sorted(found), beyond };
}

function sorted(found: Entry[]): Omit<BandIndex, "beyond"> {
  found.sort((a, b) => a.band - b.band);
  const shared = new Set<number>();
  const unique = found.filter(({ band }, i) => {
    const isFirst = i === 0 || found[i - 1]?.band !== band;
    if (!isFirst) shared.add(band);
    return isFirst;
  });
  return {
    bands: Float64Array.from(unique, ({ band }) => band),
    places: Float64Array.from(unique, ({ place }) => place),
    entries: Float64Array.from(unique, ({ entry }) => entry),
    shared,
  };
}
