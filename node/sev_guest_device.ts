/**
 * /dev/sev-guest, which is not a file to be read but a device to be told things: through the C library.
 *
 * In: requests without pointers (`enclave/platform/sev_guest.ts`). Out: responses, or the errors of three layers: system
 * call, hypervisor, firmware. The kernel writes through the pointers that are put in here, so every buffer is as long as
 * the kernel believes, and is kept until the call has returned.
 * Format: Linux include/uapi/linux/sev-guest.h; attestation/formats.md §5.2
 *
 *     argument of the call (32)            request of an extended report (112)
 *      0   1  version of messages, 1        0  96  request of a report
 *      8   8  address of the request       96   8  address of the room for certificates
 *     16   8  address of the response     104   4  its length; out: the length it should have
 *     24   4  out: firmware's error       108   4  zero
 *     28   4  out: hypervisor's error
 */

import { assert } from "../shared/assert.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { MAX_SEV_CERTIFICATE_BYTES } from "../shared/limits.ts";
import type { DeviceOutcome, SevGuestOperation } from "../enclave/platform/devices.ts";
import {
  KEY_REQUEST_BYTES,
  KEY_RESPONSE_BYTES,
  REPORT_REQUEST_BYTES,
  REPORT_RESPONSE_BYTES,
  SEV_GUEST,
} from "../enclave/platform/sev_guest.ts";
import { errnoName } from "./errno.ts";

export type SevGuestDevice = (operation: SevGuestOperation) => DeviceOutcome;

/** What is needed of the C library; numbers below zero are failures, told by `errno`. */
export interface LibC {
  open(path: Uint8Array, flags: number): number;
  ioctl(file: number, request: bigint, argument: Uint8Array): number;
  close(file: number): number;
  errno(): number;
  addressOf(buffer: Uint8Array): bigint;
}

/** `_IOWR('S', n, 32 bytes)`. */
const REQUESTS = {
  report: { code: 0xc0205300n, requestBytes: REPORT_REQUEST_BYTES, responseBytes: REPORT_RESPONSE_BYTES },
  derivedKey: { code: 0xc0205301n, requestBytes: KEY_REQUEST_BYTES, responseBytes: KEY_RESPONSE_BYTES },
  extendedReport: { code: 0xc0205302n, requestBytes: REPORT_REQUEST_BYTES, responseBytes: REPORT_RESPONSE_BYTES },
} as const;

const READ_AND_WRITE = 2;
const CLOSE_ON_EXEC = 0o2000000;
const ARGUMENT_BYTES = 32;
const EXTENDED_REQUEST_BYTES = 112;
const PAGE_BYTES = 4096;
const MESSAGE_VERSION = 1;

/** Names under which the C library is found, of glibc and of musl. */
const LIBRARIES = ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`];

/** @throws the runtime's error where foreign functions are not allowed, or there is no C library */
export function openSevGuest(): SevGuestDevice {
  const libC = loadLibC();
  return (operation) => requestFrom(libC, operation);
}

/** One request: the device is opened and closed for each. */
export function requestFrom(libC: LibC, { request, bytes, certificateBytes }: SevGuestOperation): DeviceOutcome {
  const { code, requestBytes, responseBytes } = REQUESTS[request];
  assert(bytes.length === requestBytes, "A request has the size of its structure");
  assert(certificateBytes % PAGE_BYTES === 0, "Certificates get whole pages");
  assert(certificateBytes <= MAX_SEV_CERTIFICATE_BYTES, "Certificates get no more room than the kernel takes");
  const file = libC.open(toUtf8(`${SEV_GUEST}\0`), READ_AND_WRITE | CLOSE_ON_EXEC);
  if (file < 0) return errorOf(libC.errno(), `${SEV_GUEST} cannot be opened`);
  try {
    const certificates = pageAligned(libC, certificateBytes);
    const asked = request === "extendedReport" ? extended(libC, bytes, certificates) : bytes.slice();
    const response = new Uint8Array(responseBytes);
    const argument = new Uint8Array(ARGUMENT_BYTES);
    const view = viewOf(argument);
    view.setUint8(0, MESSAGE_VERSION);
    view.setBigUint64(8, libC.addressOf(asked), true);
    view.setBigUint64(16, libC.addressOf(response), true);
    const result = libC.ioctl(file, code, argument);
    const isRefused = result < 0;
    const errno = isRefused ? libC.errno() : 0;
    const firmwareError = view.getUint32(24, true);
    const hypervisorError = view.getUint32(28, true);
    if (isRefused || hypervisorError !== 0) {
      const wantedBytes = request === "extendedReport" ? { wantedBytes: viewOf(asked).getUint32(104, true) } : {};
      return { ...errorOf(errno, "the request is refused"), firmwareError, hypervisorError, ...wantedBytes };
    }
    return {
      isDone: true,
      bytes: response,
      ...(request === "extendedReport" && { certificates: certificates.slice() }),
    };
  } finally {
    libC.close(file);
  }
}

function extended(libC: LibC, request: Uint8Array, certificates: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(EXTENDED_REQUEST_BYTES);
  bytes.set(request);
  const view = viewOf(bytes);
  if (certificates.length > 0) view.setBigUint64(REPORT_REQUEST_BYTES, libC.addressOf(certificates), true);
  view.setUint32(REPORT_REQUEST_BYTES + 8, certificates.length, true);
  return bytes;
}

/** Zeros that begin at a page, as the hypervisor wants them: memory has no such promise, so there is a page more. */
function pageAligned(libC: LibC, length: number): Uint8Array {
  const room = new Uint8Array(length + PAGE_BYTES);
  const behindPage = Number(libC.addressOf(room) % BigInt(PAGE_BYTES));
  const start = behindPage === 0 ? 0 : PAGE_BYTES - behindPage;
  return room.subarray(start, start + length);
}

/** @param errno 0 where the hypervisor alone has refused, or it was written over since */
function errorOf(errno: number, message: string): DeviceOutcome & { readonly isDone: false } {
  return { isDone: false, code: errno === 0 ? "EIO" : errnoName(errno), message };
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function loadLibC(): LibC {
  const { symbols } = openLibrary();
  return {
    open: (path, flags) => symbols.open(path as Uint8Array<ArrayBuffer>, flags),
    ioctl: (file, request, argument) => symbols.ioctl(file, request, argument as Uint8Array<ArrayBuffer>),
    close: (file) => symbols.close(file),
    // Another call of the runtime's may have changed it: it is for the message, decided is by the other two errors.
    errno: () => new Deno.UnsafePointerView(symbols.__errno_location()!).getInt32(),
    addressOf: (buffer) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer as Uint8Array<ArrayBuffer>)),
  };
}

const SYMBOLS = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

function openLibrary(): Deno.DynamicLibrary<typeof SYMBOLS> {
  let first: unknown;
  for (const name of LIBRARIES) {
    try {
      return Deno.dlopen(name, SYMBOLS);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      first ??= error;
    }
  }
  throw first;
}
