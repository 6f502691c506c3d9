import { spawnSync } from "node:child_process";

const SCRIPT = `
import pyvhdi, sys
chain = []
for path in sys.argv[1:]:
    layer = pyvhdi.file()
    layer.open(path)
    if chain:
        chain[-1].set_parent(layer)
    chain.append(layer)
size = chain[0].get_media_size()
for at in range(0, size, 1 << 20):
    sys.stdout.buffer.write(chain[0].read_buffer_at_offset(min(1 << 20, size - at), at))
`;

const python = ["/usr/bin/python3", "python3"].find((name) => spawnSync(name, ["-c", "import pyvhdi"]).status === 0);

/** What libvhdi (by its Python module) reads of a chain of VHD or VHDX files, the newest first; null when it is not installed. */
export const readByLibvhdi: ((paths: readonly string[]) => Uint8Array) | null =
  python === undefined
    ? null
    : (paths) => {
        const { status, stdout, stderr } = spawnSync(python, ["-c", SCRIPT, ...paths], { maxBuffer: 1 << 28, timeout: 60_000 });
        if (status !== 0) throw new Error(`libvhdi: ${stderr}`);
        return stdout;
      };
