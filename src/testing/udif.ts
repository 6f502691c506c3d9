/** The few parts of UDIF (.dmg) that tests of its codecs need: a tiny image around one chunk, and the chunks of a real one. */

const SECTOR = 512;
export const CHUNK_RAW = 1;
export const CHUNK_ADC = 0x8000_0004;
export const CHUNK_LZFSE = 0x8000_0007;
const CHUNK_END = 0xffff_ffff;
const TABLE_HEADER = 204;
const TABLE_ENTRY = 40;

export interface UdifChunk {
  readonly type: number;
  /** Place and length in the disk, bytes. */
  readonly at: number;
  readonly length: number;
  readonly packed: Uint8Array;
}

/** An image of one partition that is one chunk; `size` is a multiple of 512. */
export function udifImage(type: number, packed: Uint8Array, size: number): Buffer {
  const sectors = BigInt(size / SECTOR);
  const table = Buffer.alloc(TABLE_HEADER + 2 * TABLE_ENTRY);
  table.write("mish");
  table.writeUInt32BE(1, 4);
  table.writeBigUInt64BE(sectors, 16);
  table.writeUInt32BE(2048, 32);
  table.writeUInt32BE(2, 200);
  table.writeUInt32BE(type, TABLE_HEADER);
  table.writeBigUInt64BE(sectors, TABLE_HEADER + 16);
  table.writeBigUInt64BE(BigInt(packed.length), TABLE_HEADER + 32);
  table.writeUInt32BE(CHUNK_END, TABLE_HEADER + TABLE_ENTRY);
  table.writeBigUInt64BE(sectors, TABLE_HEADER + TABLE_ENTRY + 8);
  table.writeBigUInt64BE(BigInt(packed.length), TABLE_HEADER + TABLE_ENTRY + 24);
  const xml = Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict><key>resource-fork</key><dict><key>blkx</key><array><dict>
<key>Attributes</key><string>0x0050</string><key>CFName</key><string>disk</string><key>Data</key><data>
${table.toString("base64")}
</data><key>ID</key><string>0</string><key>Name</key><string>disk</string></dict></array></dict></dict></plist>
`,
  );
  const trailer = Buffer.alloc(SECTOR);
  trailer.write("koly");
  trailer.writeUInt32BE(4, 4);
  trailer.writeUInt32BE(SECTOR, 8);
  trailer.writeUInt32BE(1, 12);
  trailer.writeBigUInt64BE(BigInt(packed.length), 32);
  trailer.writeUInt32BE(1, 56);
  trailer.writeUInt32BE(1, 60);
  trailer.writeBigUInt64BE(BigInt(packed.length), 216);
  trailer.writeBigUInt64BE(BigInt(xml.length), 224);
  trailer.writeUInt32BE(1, 488);
  trailer.writeBigUInt64BE(sectors, 492);
  return Buffer.concat([packed, xml, trailer]);
}

/** The chunks of all partitions, in order, but those without data. */
export function udifChunks(image: Buffer): UdifChunk[] {
  const trailer = image.subarray(-SECTOR);
  const xmlAt = Number(trailer.readBigUInt64BE(216));
  const xml = image.toString("utf8", xmlAt, xmlAt + Number(trailer.readBigUInt64BE(224)));
  const chunks: UdifChunk[] = [];
  for (const [, text = ""] of xml.matchAll(/<data>([^<]*)<\/data>/g)) {
    const table = Buffer.from(text, "base64");
    if (table.toString("latin1", 0, 4) !== "mish") continue;
    const first = Number(table.readBigUInt64BE(8));
    for (let entry = TABLE_HEADER; entry < table.length; entry += TABLE_ENTRY) {
      const type = table.readUInt32BE(entry);
      const [sector, count, at, length] = [8, 16, 24, 32].map((field) => Number(table.readBigUInt64BE(entry + field))) as [
        number,
        number,
        number,
        number,
      ];
      if (length === 0) continue;
      chunks.push({ type, at: (first + sector) * SECTOR, length: count * SECTOR, packed: image.subarray(at, at + length) });
    }
  }
  return chunks;
}
