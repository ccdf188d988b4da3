/**
 * Performs the operations on device files by which evidence is asked for (`enclave/platform/devices.ts`).
 *
 * In: operations, one at a time. Out: their outcomes, errors by name; nothing is thrown but our own bugs.
 * Deno touches nothing below /dev and /sys without --allow-all; a process that was not given it, or gave some of it up,
 * gets `NO_PERMISSION` for every path alike.
 */

import { concat } from "../shared/bytes.ts";
import {
  type DeviceError,
  type DeviceOperation,
  type DeviceOutcome,
  NO_PERMISSION,
  type Protocol,
  TOO_LONG,
} from "../enclave/platform/devices.ts";
import { errnoName } from "./errno.ts";
import { openSevGuest, type SevGuestDevice } from "./sev_guest_device.ts";

const READ_BYTES = 16 * 1024;

/** Goes through a protocol. @throws PlatformFailure as the protocol does */
export async function followWith<Result>(
  protocol: Protocol<Result>,
  perform: (operation: DeviceOperation) => Promise<DeviceOutcome>,
): Promise<Result> {
  let step = protocol.next();
  while (!step.done) step = protocol.next(await perform(step.value));
  return step.value;
}

/** @param openDevice is called at the first request to /dev/sev-guest */
export function kernelDevices(
  openDevice: () => SevGuestDevice = openSevGuest,
): (operation: DeviceOperation) => Promise<DeviceOutcome> {
  let device: SevGuestDevice | undefined;
  return async (operation) => {
    try {
      switch (operation.kind) {
        case "look":
          await Deno.stat(operation.path);
          return done();
        case "makeDirectory":
          await Deno.mkdir(operation.path);
          return done();
        case "removeDirectory":
          await Deno.remove(operation.path);
          return done();
        case "write":
          await writeExisting(operation.path, operation.bytes);
          return done();
        case "read":
          return await readToEnd(operation.path, operation.maxBytes);
        case "sevGuest":
          device ??= openDevice();
          return device(operation);
        case "wait":
          await new Promise((resolve) => setTimeout(resolve, operation.ms));
          return done();
      }
    } catch (error) {
      return errorOf(error);
    }
  };
}

function done(bytes: Uint8Array = new Uint8Array()): DeviceOutcome {
  return { isDone: true, bytes };
}

/** In one write, as attributes of the kernel want it. */
async function writeExisting(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  const written = await file.write(bytes);
  if (written !== bytes.length) throw new Error(`only ${written} of ${bytes.length} bytes were taken`);
}

/** The sizes that attributes claim mean nothing. */
async function readToEnd(path: string, maxBytes: number): Promise<DeviceOutcome> {
  using file = await Deno.open(path, { read: true });
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const piece = new Uint8Array(READ_BYTES);
    const count = await file.read(piece);
    if (count === null) return done(concat(...pieces));
    length += count;
    if (length > maxBytes) {
      return { isDone: false, code: TOO_LONG, message: `there are more than ${maxBytes} bytes to read` };
    }
    pieces.push(piece.subarray(0, count));
  }
}

/** Of what the runtime throws: "Device or resource busy (os error 16): read '/sys/…'". */
export function errorOf(error: unknown): DeviceError {
  if (!(error instanceof Error)) throw error;
  const { message } = error;
  if (error instanceof Deno.errors.NotCapable) return { isDone: false, code: NO_PERMISSION, message };
  const number = /\(os error (\d+)\)/.exec(message)?.[1];
  const named = number === undefined ? "EUNKNOWN" : errnoName(Number(number));
  const code = (error as Error & { code?: string }).code ?? named;
  return { isDone: false, code, message: message.replace(/ \(os error \d+\).*$/, "") };
}
