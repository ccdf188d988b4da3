/**
 * Names of the kernel's errors, by their numbers on Linux (asm-generic/errno-base.h, errno.h), as far as devices give them.
 */

const NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  22: "EINVAL",
  25: "ENOTTY",
  27: "EFBIG",
};

/** "E99" for a number without a name here. */
export function errnoName(number: number): string {
  return NAMES[number] ?? `E${number}`;
}
