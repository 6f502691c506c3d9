import type { Layout } from "./options.ts";
import * as q from "./spec.ts";

export interface RefcountPlace {
  readonly blocksAt: number;
  readonly blocks: number;
  readonly tableAt: number;
  readonly tableClusters: number;
}

/** The first cluster: the header, its extensions and, of a delta, the name of the backing file behind them. */
export function headerCluster(layout: Layout, l1At: number, refcounts: RefcountPlace): Uint8Array {
  const { version, clusterBits, clusterSize, compression, extendedL2, refcountBits, size, l1Entries, dataFile } = layout;
  const bytes = new Uint8Array(clusterSize);
  const { extensions, nameAt, name } = headerTail(layout);
  bytes.set(
    q.HEADER_V2.write({
      magic: q.MAGIC,
      version,
      backing_file_offset: BigInt(name === null ? 0 : nameAt),
      backing_file_size: name?.length ?? 0,
      cluster_bits: clusterBits,
      size: BigInt(size),
      crypt_method: q.CRYPT_NONE,
      l1_size: l1Entries,
      l1_table_offset: BigInt(l1At),
      refcount_table_offset: BigInt(refcounts.tableAt),
      refcount_table_clusters: refcounts.tableClusters,
      nb_snapshots: 0,
      snapshots_offset: 0n,
    }),
  );
  if (version === 3) {
    const zstd = compression === "zstd";
    bytes.set(
      q.HEADER_V3.write({
        incompatible_features:
          (zstd ? q.INCOMPAT_COMPRESSION : 0n) |
          (extendedL2 ? q.INCOMPAT_EXTENDED_L2 : 0n) |
          (dataFile !== null ? q.INCOMPAT_DATA_FILE : 0n),
        compatible_features: layout.lazyRefcounts ? q.COMPAT_LAZY_REFCOUNTS : 0n,
        autoclear_features: dataFile !== null && layout.dataFileRaw ? q.AUTOCLEAR_DATA_FILE_RAW : 0n,
        refcount_order: Math.log2(refcountBits),
        header_length: q.FULL_LENGTH,
      }),
      q.HEADER_V2.bytes,
    );
    const compression_type = zstd ? q.COMPRESSION_ZSTD : q.COMPRESSION_DEFLATE;
    bytes.set(q.HEADER_ADDITIONAL.write({ compression_type, padding: new Uint8Array(7) }), q.V3_LENGTH);
  }
  let at = headerLength(layout);
  for (const { type, data } of extensions) {
    bytes.set(q.EXTENSION.write({ type, length: data.length }), at);
    bytes.set(data, at + q.EXTENSION.bytes);
    at += extensionBytes(data);
  }
  if (name !== null) bytes.set(name, nameAt);
  return bytes;
}

/** Whether all that stands in the first cluster has room there. */
export function headerFits(layout: Layout): boolean {
  const { nameAt, name } = headerTail(layout);
  return nameAt + (name?.length ?? 0) <= layout.clusterSize;
}

/** [1] Version 2 has no further fields, but may have extensions. */
const headerLength = ({ version }: Layout): number => (version === 2 ? q.HEADER_V2.bytes : q.FULL_LENGTH);
const extensionBytes = (data: Uint8Array): number => q.EXTENSION.bytes + Math.ceil(data.length / 8) * 8;

function headerTail(layout: Layout) {
  const extensions = extensionsOf(layout);
  const end = extensions.reduce((at, { data }) => at + extensionBytes(data), headerLength(layout));
  const name = layout.backing === null ? null : new TextEncoder().encode(layout.backing.name);
  // The zeros of the end extension lie between.
  return { extensions, name, nameAt: end + q.EXTENSION.bytes };
}

/** [1] Header extensions; the zeros behind the last one end them. */
function extensionsOf(layout: Layout): readonly { readonly type: number; readonly data: Uint8Array }[] {
  const { version, compression, extendedL2, dataFile, backing } = layout;
  const found: { type: number; data: Uint8Array }[] = [];
  const text = (value: string) => new TextEncoder().encode(value);
  if (backing !== null) found.push({ type: q.EXTENSION_BACKING_FORMAT, data: text(backing.format) });
  if (version === 2) return found;
  if (dataFile !== null) found.push({ type: q.EXTENSION_DATA_FILE, data: text(dataFile) });
  // [1] Feature name table: lets a program that does not know a feature say its name.
  const names: Array<readonly [bit: number, name: string]> = [];
  if (dataFile !== null) names.push([2, "external data file"]);
  if (compression === "zstd") names.push([3, "compression type"]);
  if (extendedL2) names.push([4, "extended L2 entries"]);
  const table = new Uint8Array(names.length * q.FEATURE_NAME.bytes);
  names.forEach(([bit, name], i) => {
    const padded = new Uint8Array(46);
    padded.set(text(name));
    table.set(q.FEATURE_NAME.write({ type: 0, bit, name: padded }), i * q.FEATURE_NAME.bytes);
  });
  if (names.length > 0) found.push({ type: q.EXTENSION_FEATURE_NAMES, data: table });
  return found;
}
