// References: XAPI, "Import and export of VMs: XVA" (xapi-project.github.io); XenAPI class reference for the fields of ova.xml

/** Disks are cut into files of this size, named by their number. */
export const CHUNK = 1 << 20;
export const DESCRIPTOR = "ova.xml";
/** `Ref:12/00000042`, and behind it `.checksum` (SHA-1) or `.xxhash`. */
export const CHUNK_NAME = /^(Ref:\d+)\/(\d{8,})(\.checksum|\.xxhash)?$/;
