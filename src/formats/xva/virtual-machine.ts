import { escapeXml } from "../../core/xml.ts";

/** A value of XML-RPC as XenServer writes it: text, yes or no, list, record. */
type Value = string | boolean | readonly Value[] | { readonly [name: string]: Value };

const NULL = "OpaqueRef:NULL";
const NEVER = "19700101T00:00:00Z";
/** XenServer's number of this layout of ova.xml. */
const VERSION = {
  hostname: "spindle",
  date: "1970-01-01",
  product_version: "7.0.0",
  product_brand: "XenServer",
  build_number: "0",
  xapi_major: "1",
  xapi_minor: "9",
  export_vsn: "2",
};

export const DISK_ID = "Ref:4";

export interface Machine {
  readonly name: string;
  /** Virtual size of its disk, bytes. */
  readonly diskSize: number;
  /** UUIDs of the machine, the disk's connection, the disk and its storage. */
  readonly uuids: readonly [string, string, string, string];
}

/** The ova.xml of a machine with one disk: 2 processors, 2 GiB, booting from the disk in hardware virtualisation. */
export function describeMachine({ name, diskSize, uuids: [vm, connection, disk, storage] }: Machine): string {
  const memory = String(2 * 2 ** 30);
  const common = { allowed_operations: [], current_operations: {}, other_config: {}, tags: [] };
  const objects = [
    object("VM", "Ref:1", {
      ...common,
      uuid: vm,
      power_state: "Halted",
      name_label: name,
      name_description: "",
      user_version: "1",
      is_a_template: false,
      is_default_template: false,
      is_a_snapshot: false,
      snapshot_of: NULL,
      snapshots: [],
      snapshot_time: NEVER,
      transportable_snapshot_id: "",
      parent: NULL,
      children: [],
      is_control_domain: false,
      suspend_VDI: NULL,
      resident_on: NULL,
      affinity: NULL,
      memory_overhead: "0",
      memory_target: "0",
      memory_static_max: memory,
      memory_dynamic_max: memory,
      memory_dynamic_min: memory,
      memory_static_min: memory,
      VCPUs_params: {},
      VCPUs_max: "2",
      VCPUs_at_startup: "2",
      actions_after_shutdown: "destroy",
      actions_after_reboot: "restart",
      actions_after_crash: "restart",
      consoles: [],
      VIFs: [],
      VBDs: ["Ref:2"],
      VTPMs: [],
      VGPUs: [],
      attached_PCIs: [],
      PV_bootloader: "",
      PV_kernel: "",
      PV_ramdisk: "",
      PV_args: "",
      PV_bootloader_args: "",
      PV_legacy_args: "",
      HVM_boot_policy: "BIOS order",
      HVM_boot_params: { order: "cdn" },
      HVM_shadow_multiplier: "1",
      platform: { timeoffset: "0", nx: "true", acpi: "1", apic: "true", pae: "true", viridian: "true" },
      PCI_bus: "",
      domid: "-1",
      domarch: "",
      last_boot_CPU_flags: {},
      last_booted_record: "",
      metrics: NULL,
      guest_metrics: NULL,
      recommendations: "",
      xenstore_data: {},
      ha_always_run: false,
      ha_restart_priority: "",
      blobs: {},
      blocked_operations: {},
      bios_strings: {},
      start_delay: "0",
      shutdown_delay: "0",
      order: "0",
      version: "0",
      generation_id: "",
      hardware_platform_version: "0",
      appliance: NULL,
      protection_policy: NULL,
    }),
    object("VBD", "Ref:2", {
      ...common,
      uuid: connection,
      VM: "Ref:1",
      VDI: DISK_ID,
      device: "xvda",
      userdevice: "0",
      bootable: true,
      mode: "RW",
      type: "Disk",
      unpluggable: false,
      storage_lock: false,
      empty: false,
      currently_attached: false,
      status_code: "0",
      status_detail: "",
      runtime_properties: {},
      qos_algorithm_type: "",
      qos_algorithm_params: {},
      qos_supported_algorithms: [],
      metrics: NULL,
    }),
    object("SR", "Ref:3", {
      ...common,
      uuid: storage,
      name_label: "Local storage",
      name_description: "",
      VDIs: [DISK_ID],
      PBDs: [],
      virtual_allocation: String(diskSize),
      physical_utilisation: String(diskSize),
      physical_size: String(diskSize),
      type: "lvm",
      content_type: "user",
      shared: false,
      sm_config: {},
      blobs: {},
      local_cache_enabled: false,
      introduced_by: NULL,
    }),
    object("VDI", DISK_ID, {
      ...common,
      uuid: disk,
      name_label: name,
      name_description: "",
      SR: "Ref:3",
      VBDs: ["Ref:2"],
      crash_dumps: [],
      virtual_size: String(diskSize),
      physical_utilisation: String(diskSize),
      type: "user",
      sharable: false,
      read_only: false,
      storage_lock: false,
      location: disk,
      managed: true,
      missing: false,
      parent: NULL,
      xenstore_data: {},
      sm_config: {},
      is_a_snapshot: false,
      snapshot_of: NULL,
      snapshots: [],
      snapshot_time: NEVER,
      allow_caching: false,
      on_boot: "persist",
      metadata_of_pool: "",
      metadata_latest: false,
    }),
  ];
  return `<?xml version="1.0"?>${write({ version: VERSION, objects })}`;
}

const object = (kind: string, id: string, snapshot: Value): Value => ({ class: kind, id, snapshot });

function write(value: Value): string {
  if (typeof value === "string") return `<value>${escapeXml(value)}</value>`;
  if (typeof value === "boolean") return `<value><boolean>${value ? 1 : 0}</boolean></value>`;
  if (Array.isArray(value)) return `<value><array><data>${value.map(write).join("")}</data></array></value>`;
  const members = Object.entries(value).map(([name, inner]) => `<member><name>${name}</name>${write(inner)}</member>`);
  return `<value><struct>${members.join("")}</struct></value>`;
}
