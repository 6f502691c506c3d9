import { useEffect } from "preact/hooks";

/** One section per kind of failure: the error boxes link to them by these names. */
const FAILURES: readonly (readonly [string, string, readonly string[]])[] = [
  [
    "wrong-format",
    "wrong-format: not a disk image that Spindle knows",
    [
      "Spindle looks at what is inside a file, not at its name. This file has none of the marks of the formats it reads. A file in an archive that has none can be chosen all the same.",
      "Often it is another part of the virtual machine: a settings file (.vmx, .vbox, .ovf), a log or a memory image. Open the disk itself. Disks inside .ova, .tar, .zip, .gz, .xz, .zst, .bz2 and .lz4 files are found by themselves; .7z and .rar archives have to be unpacked first.",
    ],
  ],
  [
    "corrupt",
    "corrupt: the image contradicts itself",
    [
      "A table in the image points outside the file, a checksum does not match, or the file is shorter than its own header says. The message names the file, the field and the offset.",
      "Most often the copy is incomplete: compare size and checksum with the original and copy it again. If there is no better copy, turn on “Carry on, zero what cannot be read” under Options: Spindle then converts what it can and lists every range that it had to fill with zeros.",
    ],
  ],
  [
    "unsupported",
    "unsupported: a feature that is not read",
    [
      "The image is sound but uses something that this version does not read. Its facts are shown; its data is not converted, because a wrong byte would be worse than none.",
      "Copy or convert the image once with the program that made it, with that feature turned off.",
    ],
  ],
  [
    "missing-file",
    "missing-file: another file belongs to this image",
    [
      "Some images are only a description: the data lies in a second file (web-flat.vmdk, web-s001.vmdk) or in a parent that a snapshot builds on. Spindle asks for each by its exact name; a parent that is known by its UUID may have any.",
      "Drop the files together, or the whole folder. A page cannot look for neighbouring files by itself.",
    ],
  ],
  [
    "passphrase",
    "passphrase: the image is encrypted",
    [
      "Enter the passphrase that was chosen when the image was made. It is kept in the memory of this tab as long as the card is open, is never stored, and goes nowhere. The result of a conversion is not encrypted.",
      "qcow2 and qcow with LUKS or the old AES encryption, and bare LUKS1 disks, can be unlocked. LUKS2 is named, but not unlocked. Without the passphrase there is no way in.",
    ],
  ],
  [
    "choice",
    "choice: several disks in one file",
    ["The archive holds more than one disk. Choose one, or open all of them: each then has a card of its own and is converted by itself."],
  ],
  [
    "io",
    "io: the file could not be read or written",
    ["The system answered with an error. Check that the drive is connected and try again. The source is only ever read."],
  ],
  [
    "limit",
    "limit: beyond what the format can carry",
    [
      "The disk is larger than the target format allows: choose another target. Or a table in the image is larger than any real image needs.",
      "A small packed file that grows beyond all measure is stopped until you say “Unpack it anyway”. Unpacking it takes time, but neither memory nor space on a drive.",
    ],
  ],
  ["usage", "usage: the settings contradict each other", ["Two options cannot be had together. The message names them."]],
  [
    "disk-full",
    "disk-full: no space left",
    [
      "Browsers do not let a page see how much space is free, so this cannot be told in advance. Writing a chosen file needs the space of the result; saving as a download needs it twice for a moment.",
      "Free space or choose another drive. What was written is removed.",
    ],
  ],
  [
    "permission",
    "permission: access was not allowed",
    [
      "Browsers ask before a page may read a file again on a later visit, and before it may write. Start again and choose Allow. System folders cannot be chosen at all.",
    ],
  ],
  [
    "file-changed",
    "file-changed: the file has changed or moved",
    [
      "The browser stops reading a file that changed after it was opened. Shut the virtual machine down (do not only suspend it), then open the file again.",
    ],
  ],
  [
    "same-file",
    "same-file: the source was chosen for the result",
    [
      "A result never goes into its own source. Note that a browser may empty an existing file at the moment it is chosen for saving: check the source before you go on, and choose a new name.",
    ],
  ],
  ["taken", "taken: another tab does the same", ["Two tabs must not write the same result. Go on in the other tab, or cancel it there."]],
  ["aborted", "aborted: cancelled", ["The conversion was cancelled. What it had written was removed; the source was only read."]],
  [
    "unexpected",
    "unexpected: an error without a name",
    ["This should not happen. Please report it with the text of the message; the message holds no data of your disk."],
  ],
];

export function Help({ section }: { readonly section: string | null }) {
  useEffect(() => {
    const target = section === null ? null : document.getElementById(`help-${section}`);
    target?.scrollIntoView();
    target?.focus({ preventScroll: true });
  }, [section]);
  return (
    <article class="help">
      <p>
        <a href="#work">Back to the disks</a>
      </p>
      <h1>Help</h1>
      <section>
        <h2>What it does</h2>
        <p>
          Spindle reads a virtual disk in one format and writes it in another, inside this page. It shows what the image holds, what the
          target cannot carry, and the same command for qemu-img. When it is done it reads the result back and compares every block with the
          source.
        </p>
        <p>Drop the files that belong together in one go, or the whole folder of the machine. Shut the virtual machine down first.</p>
        <p>
          A disk inside an archive or a compressed file (OVA, XVA, tar, zip, gz, xz, zst, bz2, lz4) is opened in place; nothing is unpacked
          onto a drive.
        </p>
      </section>
      <section>
        <h2>Check, compare, repair</h2>
        <p>
          <b>Check</b> reads an image's tables, unpacks every compressed block and compares every checksum that it carries. What is wrong is
          listed with its place in the file and on the disk, and framed in the block map.
        </p>
        <p>
          <b>Repair into a copy</b> writes the same disk once more in the same format with tables that are right. The damaged file is never
          changed, and what is lost in it cannot come back.
        </p>
        <p>
          <b>Compare</b> is there when two disks are open: it says whether a virtual machine would see the same in both, whatever their
          formats, and where they differ first.
        </p>
        <p>
          <b>The exact size</b> of a result can be worked out before anything is written; that reads the whole source once.
        </p>
      </section>
      <section>
        <h2 id="help-chains" tabIndex={-1}>
          Chains and snapshots
        </h2>
        <p>
          A snapshot is a layer: a file that holds only what was changed since, over the file below it. Drop the folder of the machine, and
          Spindle puts the layers in order by what they say about each other, whatever their formats, and shows them on one card. The block
          map has the colours of the layers that own the data.
        </p>
        <p>
          Choose a layer to have the disk as it was when that was the newest. A conversion makes one image of it and all below it. Under
          Options the layers can be kept instead, one file each, or only what differs from another open image be written.
        </p>
        <p>
          A chain with a file missing is not read: nothing is made up for it. A layer that was changed after another was made over it is
          told; you can go on, and the result says so too. The right copy of that file is better.
        </p>
      </section>
      <section>
        <h2 id="help-size" tabIndex={-1}>
          Another size, less free space
        </h2>
        <p>
          The disk in the result can be larger, or smaller down to where its last partition or file system ends. A GPT follows to the new
          end. Partitions and file systems are not changed: enlarge them in the guest.
        </p>
        <p>
          <b>Leave out free space</b> reads which blocks ext2, ext3, ext4, FAT and NTFS mark as free and does not write what lies there. A
          file system that was not shut down cleanly stays whole. What was deleted cannot be recovered from the result.
        </p>
      </section>
      <section>
        <h2 id="help-targets" tabIndex={-1}>
          For which target?
        </h2>
        <p>
          A target settles format, kind, size and file name by its published rules, which can be read there with their sources. What it does
          not take is said before anything is written. When the result is done, the steps to import it are shown.
        </p>
      </section>
      <section>
        <h2>Which format?</h2>
        <dl>
          <dt>qcow2</dt>
          <dd>QEMU, KVM, libvirt, Proxmox, UTM, GNOME Boxes.</dd>
          <dt>VMDK</dt>
          <dd>VMware; the streamOptimized kind is what an OVA holds.</dd>
          <dt>VDI</dt>
          <dd>VirtualBox.</dd>
          <dt>VHDX, VHD</dt>
          <dd>Hyper-V; Azure takes a fixed VHD.</dd>
          <dt>raw</dt>
          <dd>
            Anything: the bytes of the disk, one after the other. It is as long as the disk, and the browser reads it all once more when it
            closes the file (about 8 s per GiB). It can also be packed as gz, zst, or as Google's cloud imports it.
          </dd>
        </dl>
        <p>
          Under “More formats” are the ones for a single program: Parallels, QED, Apple disk images, Android sparse images, Xen's XVA and
          OVA. More can be read than written: also the disks of Bochs and cloop, EnCase (E01), Apple's sparse images and the first qcow.
        </p>
      </section>
      <section>
        <h2>Where results go</h2>
        <p>
          Chrome and Edge write straight into the file or folder that you choose. Firefox and Safari cannot; there the result is kept in the
          page's private store and saved as a download. A tab that closes during a conversion loses the unfinished file, never the source.
        </p>
      </section>
      <section>
        <h2>Checksums</h2>
        <p>
          BLAKE3 is computed over the whole virtual disk, as <code>b3sum</code> prints for its raw form: it is the same in every format.
          SHA-256 is computed over a written file, as <code>sha256sum</code> prints.
        </p>
      </section>
      <section>
        <h2>Network</h2>
        <p>
          Fetch, XHR, WebSocket, beacons, images and forms to any server are blocked by the browser. The badge at the top shows it tried. On
          the first visit the page reloads once to put this in force.
        </p>
      </section>
      <h2>When something goes wrong</h2>
      {FAILURES.map(([id, title, paragraphs]) => (
        <section key={id}>
          <h3 id={`help-${id}`} tabIndex={-1}>
            {title}
          </h3>
          {paragraphs.map((text) => (
            <p key={text}>{text}</p>
          ))}
        </section>
      ))}
    </article>
  );
}
