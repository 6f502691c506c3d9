// References
// - DMTF DSP0243 2.1.1, Open Virtualization Format: §5.1 package, §5.3 manifest, §7.1 references, §7.2 disks, §7.3 compression
// - DMTF DSP1053 / CIM_ResourceAllocationSettingData: resource types

export const OVF_NAMESPACE = "http://schemas.dmtf.org/ovf/envelope/1";
export const STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
export const MOST_DESCRIPTOR_BYTES = 16 << 20;
