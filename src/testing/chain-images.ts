import { memorySource } from "../core/bytes.ts";
import type { ByteSource } from "../core/model.ts";
import { guidBytes, uuidBytes } from "../core/uuid.ts";
import { vdi } from "../formats/vdi/index.ts";
import { Header as VdiHeader } from "../formats/vdi/spec.ts";
import { vhd } from "../formats/vhd/index.ts";
import { checksumOf, Footer, Header as VhdHeader } from "../formats/vhd/spec.ts";
import { vhdx } from "../formats/vhdx/index.ts";
import { diskOf } from "./disks.ts";
import { contextOf, specFor, testCompute, writeImage } from "./image-harness.ts";
import { makeDifferencing, utf16 } from "./vhdx-images.ts";

// Layers as the programs make them that cannot be run here: VirtualBox's, Hyper-V's and VMware's. Each holds whole blocks of one byte.

const MIB = 1 << 20;
export const LAYER_SIZE = 6 * MIB;

/** Block (of 2 MiB) → the byte that fills it; other blocks are the parent's. */
export type Blocks = Readonly<Record<number, number>>;

/** What a disk of `LAYER_SIZE` under layers of blocks shows, the newest first. */
export function shownBy(layers: readonly Blocks[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(LAYER_SIZE);
  for (const blocks of [...layers].reverse())
    for (const [block, byte] of Object.entries(blocks)) out.fill(byte, Number(block) * 2 * MIB, (Number(block) + 1) * 2 * MIB);
  return out;
}

const contentOf = (blocks: Blocks) =>
  diskOf(LAYER_SIZE, 2 * MIB, new Map(Object.entries(blocks).map(([block, byte]) => [Number(block), new Uint8Array(2 * MIB).fill(byte)])));

export const uuid = (last: number): string => `11111111-2222-4333-8444-${last.toString(16).padStart(12, "0")}`;

export interface VdiLayer {
  readonly id: string;
  readonly version?: string;
  readonly parent?: string;
  readonly parentVersion?: string;
}

export async function vdiLayer(name: string, layer: VdiLayer, blocks: Blocks = {}): Promise<ByteSource> {
  const target = vdi.target!;
  const image = await writeImage(target.create(specFor(target, LAYER_SIZE, name), testCompute()), contentOf(blocks));
  const file = image.files[0]!;
  const set = (field: "uuid" | "modifyUuid" | "parentUuid" | "parentModifyUuid", id: string) =>
    file.write(VdiHeader.offsetOf(field), guidBytes(id)!);
  set("uuid", layer.id);
  set("modifyUuid", layer.version ?? uuid(0xffff));
  if (layer.parent !== undefined) {
    file.write(VdiHeader.offsetOf("imageType"), Uint8Array.of(4));
    set("parentUuid", layer.parent);
    if (layer.parentVersion !== undefined) set("parentModifyUuid", layer.parentVersion);
  }
  return file;
}

export interface VhdLayer {
  readonly id: string;
  readonly parent?: string;
  readonly parentName?: string;
  /** Seconds since 2000. */
  readonly parentTime?: number;
}

export async function vhdLayer(name: string, layer: VhdLayer, blocks: Blocks = {}): Promise<ByteSource> {
  const target = vhd.target!;
  const image = await writeImage(target.create(specFor(target, LAYER_SIZE, name), testCompute()), contentOf(blocks));
  const file = image.files[0]!;
  const isLayer = layer.parent !== undefined;
  const parentUnicodeName = new Uint8Array(512);
  parentUnicodeName.set(Buffer.from(layer.parentName ?? "", "utf16le").swap16());
  for (const at of [0, file.size - Footer.bytes]) {
    const footer = { ...Footer.read(await file.read(at, Footer.bytes)), uniqueId: uuidBytes(layer.id)!, diskType: isLayer ? 4 : 3 };
    file.write(at, Footer.write({ ...footer, checksum: checksumOf(Footer.write(footer), Footer.offsetOf("checksum")) }));
  }
  if (!isLayer) return file;
  const parent = { parentUniqueId: uuidBytes(layer.parent)!, parentTimeStamp: layer.parentTime ?? 0, parentUnicodeName };
  const header = { ...VhdHeader.read(await file.read(512, VhdHeader.bytes)), ...parent };
  file.write(512, VhdHeader.write({ ...header, checksum: checksumOf(VhdHeader.write(header), VhdHeader.offsetOf("checksum")) }));
  return file;
}

export interface VhdxLayer {
  /** The data's id comes from it. */
  readonly seed: number;
  /** Keys of the parent locator, without `parent_linkage`. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly linkage?: string;
}

/** A VHDX and the id of its data, which children state. */
export async function vhdxLayer(name: string, layer: VhdxLayer, blocks: Blocks = {}): Promise<ByteSource & { readonly id: string }> {
  const target = vhdx.target!;
  const spec = { ...specFor(target, LAYER_SIZE, name, { block_size: "2M" }), identity: new Uint8Array(16).fill(layer.seed) };
  const image = await writeImage(target.create(spec, testCompute()), contentOf(blocks));
  const file = image.files[0]!;
  if (layer.linkage !== undefined) makeDifferencing(file, { parent_linkage: `{${layer.linkage}}`, ...layer.keys });
  const { identity } = await vhdx.open(file, contextOf());
  return Object.assign(file, { id: identity as string });
}

/** A VMDK's descriptor over a flat extent, or (as VMware's snapshots of nothing yet) without data. */
export function vmdkDescriptor(
  name: string,
  lines: Readonly<Record<string, string>>,
  flat?: string,
  sectors = LAYER_SIZE / 512,
): ByteSource {
  const stated = { version: "1", CID: "00000001", parentCID: "ffffffff", createType: '"monolithicFlat"', ...lines };
  const extent = flat === undefined ? `RW ${sectors} ZERO` : `RW ${sectors} FLAT "${flat}" 0`;
  const text = ["# Disk DescriptorFile", ...Object.entries(stated).map(([key, value]) => `${key}=${value}`), extent, ""].join("\n");
  return memorySource(name, new TextEncoder().encode(text));
}

const CLUSTER = 512;
/** A qcow2 of 32 KiB that holds nothing: all is its backing file's. */
export function qcow2Layer(name: string, backing: string | null, format: string | null = null, size = 32768): ByteSource {
  const bytes = Buffer.alloc(4 * CLUSTER);
  const text = new TextEncoder();
  let at = 72;
  if (format !== null) {
    bytes.writeUInt32BE(0xe2792aca, at);
    bytes.writeUInt32BE(format.length, at + 4);
    bytes.set(text.encode(format), at + 8);
    at += 8 + Math.ceil(format.length / 8) * 8;
  }
  at += 8;
  const stated = text.encode(backing ?? "");
  bytes.set(stated, at);
  bytes.writeUInt32BE(0x514649fb, 0);
  bytes.writeUInt32BE(2, 4);
  if (backing !== null) {
    bytes.writeBigUInt64BE(BigInt(at), 8);
    bytes.writeUInt32BE(stated.length, 16);
  }
  bytes.writeUInt32BE(9, 20);
  bytes.writeBigUInt64BE(BigInt(size), 24);
  bytes.writeUInt32BE(Math.ceil(size / 32768), 36);
  bytes.writeBigUInt64BE(BigInt(CLUSTER), 40);
  bytes.writeBigUInt64BE(BigInt(2 * CLUSTER), 48);
  bytes.writeUInt32BE(1, 56);
  return memorySource(name, bytes);
}

/** A Hyper-V configuration as UTF-16 text with its byte order mark. */
export const utf16File = (name: string, text: string): ByteSource =>
  memorySource(name, Buffer.concat([Uint8Array.of(0xff, 0xfe), utf16(text)]));
export const textFile = (name: string, text: string): ByteSource => memorySource(name, new TextEncoder().encode(text));
