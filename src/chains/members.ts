import { DiskError } from "../core/errors.ts";
import { isFirstPart } from "../core/file-name.ts";
import type { ByteSource, DiskFormat, OpenContext, ResolveFile, Volume } from "../core/model.ts";
import { DISK_FORMATS, detectFormat, formatById, openImage } from "../formats/registry.ts";
import type { GivenFile, GivenFiles } from "./given-files.ts";

/** A given file opened as a layer. */
export interface OpenedMember {
  readonly id: number;
  /** Number of the given file. */
  readonly file: number;
  readonly source: ByteSource;
  readonly path: string;
  readonly modified: number | null;
  /** Format id to open it under; undefined: what its content shows. */
  readonly format: string | undefined;
  readonly volume: Volume;
}

/** Opens given files as layers, each once under each format, and learns which files are only parts of images. */
export class Members {
  readonly list: OpenedMember[] = [];
  /** Files that images are made of besides themselves: extents, data files, parts. */
  readonly parts = new Set<number>();
  private readonly files: readonly GivenFile[];
  private readonly names: GivenFiles;
  private readonly context: OpenContext;
  private readonly opened = new Map<string, OpenedMember | DiskError>();
  private readonly formats = new Map<number, DiskFormat>();

  constructor(files: readonly GivenFile[], names: GivenFiles, context: OpenContext) {
    this.files = files;
    this.names = names;
    this.context = context;
  }

  /** The format that a file's content shows. */
  async formatOf(file: number): Promise<DiskFormat> {
    const format = this.formats.get(file) ?? (await detectFormat((this.files[file] as GivenFile).source));
    this.formats.set(file, format);
    return format;
  }

  /** `stated`: the format that an image gives for its parent. The error that stops the file from being opened is returned. */
  async open(file: number, stated?: string | null): Promise<OpenedMember | DiskError> {
    this.context.signal?.throwIfAborted();
    try {
      const shown = (await this.formatOf(file)).id;
      const format = stated == null ? shown : formatById(stated).id;
      const known = this.opened.get(`${file} ${format}`);
      // What is said to be raw is not refused for its name, as what merely looks so may be.
      const isSaid = stated != null && (format !== shown || known instanceof DiskError);
      if (known !== undefined && !(isSaid && known instanceof DiskError)) return known;
      const member = await this.openAs(file, format, isSaid).catch(diskError);
      this.opened.set(`${file} ${format}`, member);
      if (!(member instanceof DiskError)) this.list.push(member);
      return member;
    } catch (error) {
      return diskError(error);
    }
  }

  private async openAs(file: number, format: string, isSaid: boolean): Promise<OpenedMember> {
    const { source, modified = null } = this.files[file] as GivenFile;
    const context = { ...this.context, snapshot: undefined, resolve: this.resolver(file, format) };
    // What its content shows is not said: a damaged header must not pass for a raw disk.
    const said = isSaid ? format : undefined;
    const volume = await openImage(source, context, said);
    return { id: this.list.length, file, source, path: this.names.paths[file] as string, modified, format: said, volume };
  }

  /** What one file's image may open besides itself: given files, by the names that it states. */
  resolver(file: number, format: string): ResolveFile {
    return async ({ name, role }) => {
      const { best } = this.names.find(name, file);
      if (best.length > 1)
        throw new DiskError(
          "usage",
          `there are ${best.length} files that “${name}” may mean: ${best.map((i) => this.names.paths[i]).join(", ")}`,
          {
            file: this.names.paths[file],
          },
        );
      const [found] = best;
      if (found === undefined) return null;
      // An image of another kind stays one, whoever claims it.
      if (role !== "parent" && found !== file && ["raw", format].includes((await this.formatOf(found)).id)) this.parts.add(found);
      return (this.files[found] as GivenFile).source;
    };
  }
}

/** The failure of one file, which is no reason to stop; anything else is. */
function diskError(error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  throw error;
}

/** Extensions of formats whose content is known by a header: a file that has one and no header is a damaged image. */
const PROMISES = new Set(
  DISK_FORMATS.filter(({ id, wraps, target }) => id !== "raw" && wraps === undefined && target !== undefined).flatMap(
    ({ extensions }) => extensions,
  ),
);
const RAW = new Set(formatById("raw").extensions);
const extensionOf = (name: string): string => /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? "";

const SECTOR = 512;

/** Whether a file without any format's header is likely a disk, or was meant to be: by its name. */
export function isNamedLikeDisk(name: string, size: number): boolean {
  const extension = extensionOf(name);
  if (isFirstPart(name)) {
    const whole = name.slice(0, -extension.length - 1);
    // Imaging programs call the parts of a disk NAME.001; logs are called so too, but seldom fill sectors.
    return extensionOf(whole) === "" ? size % SECTOR === 0 : isNamedLikeDisk(whole, size);
  }
  // The list of changed blocks that VMware keeps beside a disk.
  return RAW.has(extension) || (PROMISES.has(extension) && !/-ctk\.vmdk$/i.test(name));
}
