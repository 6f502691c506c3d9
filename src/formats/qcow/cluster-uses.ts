/** Host clusters are tracked up to this many (8 MiB of bits each for raw and compressed: 256 GiB of 4 KiB clusters). */
const TRACKED_CLUSTERS = 1 << 26;

/** Which host clusters hold what. The format has no shared clusters: only compressed ones may lie in one host cluster together. */
export class ClusterUses {
  private readonly clusterSize: number;
  private readonly raw: Uint8Array;
  private packed: Uint8Array | null = null;

  constructor(fileSize: number, clusterSize: number) {
    this.clusterSize = clusterSize;
    this.raw = new Uint8Array(Math.ceil(Math.min(fileSize / clusterSize, TRACKED_CLUSTERS) / 8));
  }

  /** Marks the cluster at `at`; false: something else has it. */
  claimRaw(at: number): boolean {
    const cluster = at / this.clusterSize;
    const free = !has(this.raw, cluster) && (this.packed === null || !has(this.packed, cluster));
    mark(this.raw, cluster);
    return free;
  }

  /** Marks the clusters that compressed data touch; false: raw data have one of them. */
  claimPacked(at: number, length: number): boolean {
    this.packed ??= new Uint8Array(this.raw.length);
    const last = Math.floor((at + length - 1) / this.clusterSize);
    let free = true;
    for (let cluster = Math.floor(at / this.clusterSize); cluster <= last; cluster++) {
      free &&= !has(this.raw, cluster);
      mark(this.packed, cluster);
    }
    return free;
  }
}

const has = (bits: Uint8Array, index: number): boolean => (((bits[Math.floor(index / 8)] ?? 0) >> (index % 8)) & 1) === 1;

function mark(bits: Uint8Array, index: number): void {
  const byte = Math.floor(index / 8);
  if (byte < bits.length) bits[byte] = (bits[byte] as number) | (1 << (index % 8));
}
