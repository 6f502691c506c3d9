import { decryptedSource, showsPlainText } from "../../ciphers/decrypted-source.ts";
import { HEADER, HEADER_BYTES, type Luks1, luksDetails, MAGIC, readLuks1, SECTOR } from "../../ciphers/luks1.ts";
import { unlockLuks1 } from "../../ciphers/luks1-keys.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Note, OpenContext, Volume } from "../../core/model.ts";
import { bytes, struct, u16, u64exact } from "../../core/struct.ts";

const SAMPLE_BYTES = 1 << 20;

/** Whether a LUKS header begins here, of any version or of one. */
export function isLuks(head: Uint8Array, version?: number): boolean {
  if (head.length < MAGIC.length + 2 || String.fromCharCode(...head.subarray(0, MAGIC.length)) !== MAGIC) return false;
  return version === undefined || ((head[6] as number) << 8) + (head[7] as number) === version;
}

/** Opens a LUKS1 image; with a passphrase also its data. Throws `corrupt` for a damaged header, `passphrase` when it is wrong. */
export async function openLuks1(file: ByteSource, { compute, passphrase, signal }: OpenContext): Promise<Volume> {
  const header = await readLuks1(file, file.name);
  checkPayload(file, header);
  const size = Math.floor((file.size - header.payloadAt) / SECTOR) * SECTOR;
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  for (const { problem } of header.slots) if (problem !== null) warn(`A key slot cannot be used: ${problem.message}.`);
  if (header.payloadAt + size < file.size) warn(`The file ends inside a sector: its last ${file.size % SECTOR} bytes are not read.`);
  const unlock = passphrase !== undefined && header.unsupported.length === 0;
  const cipher = unlock ? await unlockLuks1({ header, area: file, file: file.name, passphrase, compute, signal }) : null;
  const plain = cipher === null ? null : decryptedSource(file, cipher, header.payloadAt, size);
  // Nothing in the header guards the payload's place, and sectors are numbered from it: one sector off, all is noise.
  if (plain !== null && size > 0 && !showsPlainText(await plain.read(0, Math.min(SAMPLE_BYTES, size))))
    warn("The first bytes of the decrypted disk look like noise: that part was never written, or payload-offset is damaged.");
  return {
    format: "luks",
    variant: `${header.cipherName}-${header.cipher}`,
    size,
    unit: 0,
    files: [plain ?? file],
    parent: null,
    identity: null,
    snapshots: [],
    unsupported: header.unsupported,
    notes,
    encrypted: true,
    locked: plain === null && header.unsupported.length === 0,
    details: luksDetails(header),
    async extents(start, length) {
      if (header.unsupported.length > 0)
        throw new DiskError("unsupported", `luks: ${file.name} is encrypted with ${header.unsupported.join(" and ")}`, { file: file.name });
      if (plain === null) throw new DiskError("passphrase", `${file.name} is encrypted and needs its passphrase`, { file: file.name });
      return [{ kind: "raw", start, length, file: 0, at: start }];
    },
  };
}

function checkPayload(file: ByteSource, { payloadAt, slots }: Luks1): void {
  const refuse = (code: "corrupt" | "unsupported", text: string) =>
    new DiskError(code, `luks: payload-offset ${text}`, { file: file.name, at: HEADER.offsetOf("payload-offset") });
  // [LUKS] 3.1 does not know it, cryptsetup writes it: `--header`.
  if (payloadAt === 0) throw refuse("unsupported", "is 0: the header is detached, the encrypted data is in another file");
  if (payloadAt < HEADER_BYTES) throw refuse("corrupt", `is ${payloadAt / SECTOR}: the data would lie over the header`);
  if (payloadAt > file.size)
    throw refuse(
      "corrupt",
      `is ${payloadAt / SECTOR}: the data begins at byte ${payloadAt}, past the end of the file (${file.size} bytes)`,
    );
  const over = slots.findIndex(
    ({ active, problem, material }) => active && problem === null && material.at + material.length > payloadAt && material.at <= payloadAt,
  );
  if (over >= 0) throw refuse("corrupt", `is ${payloadAt / SECTOR}: the data would lie over key slot ${over}`);
}

/** LUKS2 header, the fields of use to people. */
const HEADER2 = struct("be", { magic: bytes(6), version: u16, hdr_size: u64exact, seqid: u64exact, label: bytes(48) });

/** Throws `unsupported`. */
export async function openLuks2(file: ByteSource): Promise<Volume> {
  const head = await file.read(0, Math.min(file.size, HEADER2.bytes));
  const label = head.length < HEADER2.bytes ? new Uint8Array() : HEADER2.read(head).label;
  const name = new TextDecoder().decode(label.subarray(0, label.indexOf(0)));
  const named = name === "" ? "" : `, labelled “${name}”`;
  throw new DiskError(
    "unsupported",
    `${file.name} is a LUKS2 encrypted disk${named}, which is not decrypted here. Open it with cryptsetup and convert what it shows, or copy it encrypted as it is with format raw.`,
    { file: file.name, at: HEADER2.offsetOf("version") },
  );
}
