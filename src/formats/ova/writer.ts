import { TAR_BLOCK, TAR_END_BYTES, tarHeader, tarPadding } from "../../archives/tar-writer.ts";
import { hexText } from "../../core/hex.ts";
import type { Compute } from "../../core/ports.ts";
import type { ImageWriter, TargetFormat, TargetSpec, Write } from "../../core/target.ts";
import { escapeXml } from "../../core/xml.ts";
import { OVF_NAMESPACE, STREAM_OPTIMIZED } from "./spec.ts";

/** Room for the descriptor, which states the disk file's size and stands ahead of it; what is left is white space at its end. */
const DESCRIPTOR_BYTES = 8192;

/**
 * Descriptor, manifest, disk: the order that importers want (§5.1). The disk goes straight into its place; when its size and hash are
 * known, the two small files ahead of it are written.
 */
export function createOva(spec: TargetSpec, compute: Compute, vmdk: TargetFormat): ImageWriter {
  const name = spec.name.replace(/\.ova$/i, "");
  const plain = name.replaceAll(/[^\w.-]/g, "_").slice(0, 64) || "disk";
  const names = { descriptor: `${plain}.ovf`, manifest: `${plain}.mf`, disk: `${plain}-disk1.vmdk` };
  const defaults = Object.fromEntries(vmdk.options.map((option) => [option.name, option.initial]));
  const options = { ...defaults, subformat: "streamOptimized" };
  const inner = vmdk.create({ ...spec, name: names.disk, options }, compute);
  if (!inner.sequential || inner.files.length !== 1) throw new TypeError("ova: the disk is written in one pass into one file");
  const manifestOf = (descriptor: string, disk: string): string =>
    `SHA256(${names.descriptor})= ${descriptor}\nSHA256(${names.disk})= ${disk}\n`;
  const manifestBytes = manifestOf("0".repeat(64), "0".repeat(64)).length;
  const manifestAt = TAR_BLOCK + DESCRIPTOR_BYTES;
  const diskAt = manifestAt + TAR_BLOCK + manifestBytes + tarPadding(manifestBytes) + TAR_BLOCK;
  const hash = compute.hash("sha256");
  function* moved(writes: Iterable<Write>): Generator<Write> {
    for (const { at, bytes } of writes) {
      hash.update(bytes);
      yield { file: 0, at: diskAt + at, bytes };
    }
  }
  return {
    unit: inner.unit,
    files: [spec.name],
    encoding: inner.encoding,
    sequential: false,
    put: (index, block) => moved(inner.put(index, block)),
    end() {
      const { writes, sizes: innerSizes } = inner.end();
      const sizes = [0];
      function* rest(): Generator<Write> {
        yield* moved(writes);
        const diskBytes = innerSizes[0] as number;
        const descriptor = padded(describe(name, names.disk, diskBytes, spec.size));
        const digest = compute.hash("sha256");
        digest.update(descriptor);
        const manifest = new TextEncoder().encode(manifestOf(hexText(digest.digest()), hexText(hash.digest())));
        yield { file: 0, at: 0, bytes: tarHeader(names.descriptor, descriptor.length) };
        yield { file: 0, at: TAR_BLOCK, bytes: descriptor };
        yield { file: 0, at: manifestAt, bytes: tarHeader(names.manifest, manifest.length) };
        yield { file: 0, at: manifestAt + TAR_BLOCK, bytes: manifest };
        yield { file: 0, at: diskAt - TAR_BLOCK, bytes: tarHeader(names.disk, diskBytes) };
        sizes[0] = diskAt + diskBytes + tarPadding(diskBytes) + TAR_END_BYTES;
      }
      return { writes: rest(), sizes };
    },
  };
}

function padded(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > DESCRIPTOR_BYTES) throw new RangeError(`ova: a descriptor of ${bytes.length} bytes`);
  const out = new Uint8Array(DESCRIPTOR_BYTES).fill(0x0a);
  out.set(bytes);
  return out;
}

/** A machine with 2 processors, 2 GiB and the disk at an LSI Logic SCSI controller (resource types of DSP0004: 3, 4, 6, 17). */
function describe(name: string, file: string, fileBytes: number, capacity: number): string {
  const title = escapeXml(name.slice(0, 200));
  const item = (fields: Readonly<Record<string, string | number>>): string =>
    `      <Item>\n${Object.entries(fields)
      .map(([key, value]) => `        <rasd:${key}>${value}</rasd:${key}>\n`)
      .join("")}      </Item>\n`;
  const hardware = [
    { AllocationUnits: "hertz * 10^6", ElementName: "2 virtual CPUs", InstanceID: 1, ResourceType: 3, VirtualQuantity: 2 },
    { AllocationUnits: "byte * 2^20", ElementName: "2048 MB of memory", InstanceID: 2, ResourceType: 4, VirtualQuantity: 2048 },
    { Address: 0, ElementName: "SCSI controller 0", InstanceID: 3, ResourceSubType: "lsilogic", ResourceType: 6 },
    { AddressOnParent: 0, ElementName: "Hard disk 1", HostResource: "ovf:/disk/vmdisk1", InstanceID: 4, Parent: 3, ResourceType: 17 },
  ];
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="${OVF_NAMESPACE}" xmlns:ovf="${OVF_NAMESPACE}" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
    <File ovf:href="${escapeXml(file)}" ovf:id="file1" ovf:size="${fileBytes}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="${capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="${STREAM_OPTIMIZED}"/>
  </DiskSection>
  <VirtualSystem ovf:id="vm">
    <Info>A virtual machine</Info>
    <Name>${title}</Name>
    <OperatingSystemSection ovf:id="1">
      <Info>The operating system is not stated</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>${title}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>
      </System>
${hardware.map(item).join("")}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`;
}
