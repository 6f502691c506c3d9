/** Independent programs that the tests compare with, and the Debian package of each. */
export const judges = {
  "qemu-img": "qemu-utils",
  "qemu-io": "qemu-utils",
  "7zz": "7zip",
  vmdkinfo: "libvmdk-utils",
  b3sum: "b3sum",
  Xvfb: "xvfb",
  openbox: "openbox",
  xdotool: "xdotool",
  sgdisk: "gdisk",
  sfdisk: "fdisk",
  "mkfs.ext4": "e2fsprogs",
  "mkfs.fat": "dosfstools",
  mkntfs: "ntfs-3g",
  mkswap: "util-linux",
  blkid: "util-linux",
  mcopy: "mtools",
  xz: "xz-utils",
  zstd: "zstd",
  simg2img: "android-sdk-libsparse-utils",
  img2simg: "android-sdk-libsparse-utils",
  vhdiinfo: "libvhdi-utils",
  qcowinfo: "libqcow-utils",
  dmg2img: "dmg2img",
  ewfexport: "ewf-tools",
  ewfacquirestream: "ewf-tools",
  cryptsetup: "cryptsetup-bin",
  lz4: "lz4",
  pigz: "pigz",
  bzip2: "bzip2",
  zip: "zip",
  bximage: "bximage",
  create_compressed_fs: "cloop-utils",
};

/** Modules of Debian's Python that judge likewise, and the Debian package of each. */
export const pythonModules = { pyvhdi: "python3-libvhdi" };

/** A browser without any font draws no text and may not even start. */
export const browserPackages = ["chromium", "fonts-dejavu-core"];
