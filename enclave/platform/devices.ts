/**
 * What asking hardware for evidence needs of the outside, as values: operations on device files, and their outcomes.
 *
 * A protocol is a generator: it yields one operation after the other, is given the outcome of each, and returns what came
 * of it all. So the order of things, every error and every repetition are pure code, the same over the kernel's files and
 * over a test's, while the host does no more than perform. It can only deny: evidence proves itself.
 */

import { assert } from "../../shared/assert.ts";

export type DeviceOperation =
  /** Whether there is something at that path. Succeeds without bytes, or fails with ENOENT. */
  | { readonly kind: "look"; readonly path: string }
  | { readonly kind: "makeDirectory"; readonly path: string }
  /** An empty one; where the kernel made files in it, with those. */
  | { readonly kind: "removeDirectory"; readonly path: string }
  /** All of an existing file in one write, without making or cutting it, closed afterwards: that is when the kernel looks. */
  | { readonly kind: "write"; readonly path: string; readonly bytes: Uint8Array }
  /** To its end, whatever size it is said to have; longer than `maxBytes` fails with `TOO_LONG`. */
  | { readonly kind: "read"; readonly path: string; readonly maxBytes: number }
  /** A request to `/dev/sev-guest`, see `sev_guest.ts`. */
  | SevGuestOperation
  | { readonly kind: "wait"; readonly ms: number };

export interface SevGuestOperation {
  readonly kind: "sevGuest";
  readonly request: "report" | "extendedReport" | "derivedKey";
  /** The structure behind the request's pointer, without pointers of its own. */
  readonly bytes: Uint8Array;
  /** Room for certificates, of an extended report: whole pages. */
  readonly certificateBytes: number;
}

export type DeviceOutcome =
  | {
    readonly isDone: true;
    /** What was read, or the response; else empty. */
    readonly bytes: Uint8Array;
    /** Of an extended report. */
    readonly certificates?: Uint8Array;
  }
  | DeviceError;

export interface DeviceError {
  readonly isDone: false;
  /** As errno names it: "ENOENT", "EBUSY", …; or one of ours: `TOO_LONG`, `NO_PERMISSION` where the runtime forbids it. */
  readonly code: string;
  /** What the runtime says, for people. */
  readonly message: string;
  /** Of `/dev/sev-guest`: errors of the firmware and of the hypervisor, and how much room for certificates it wants. */
  readonly firmwareError?: number;
  readonly hypervisorError?: number;
  readonly wantedBytes?: number;
}

/** Asked step by step; it ends with a value, or throws PlatformFailure. */
export type Protocol<Result> = Generator<DeviceOperation, Result, DeviceOutcome>;

/** There is no evidence. The message is a sentence: what was asked for, what came instead, what to do. */
export class PlatformFailure extends Error {
  override name = "PlatformFailure";
}

/** The runtime does not let the process touch devices. Deno does so with --allow-all alone, whatever else is allowed. */
export const NO_PERMISSION = "NO_PERMISSION";
export const TOO_LONG = "TOO_LONG";

/** What an operator can do about an error that any device may answer with; undefined for the others. */
export function adviceFor({ code }: DeviceError): string | undefined {
  switch (code) {
    case NO_PERMISSION:
      return "Deno lets nobody touch devices without --allow-all: start the node with `deno task run-attested`";
    case "EACCES":
    case "EPERM":
      return "the process may not touch it: start the node as root, or give its user that right";
    default:
      return undefined;
  }
}

/** `doing`: "read …". `advice`: where the error itself does not say what to do. */
export function failureOf(doing: string, error: DeviceError, advice: string): PlatformFailure {
  return new PlatformFailure(`Cannot ${doing}: ${error.message} (${error.code}); ${adviceFor(error) ?? advice}`);
}

/**
 * Goes through a protocol whose operations are performed at once.
 *
 * @throws PlatformFailure as the protocol does
 */
export function follow<Result>(
  protocol: Protocol<Result>,
  perform: (operation: DeviceOperation) => DeviceOutcome,
): Result {
  let step = protocol.next();
  while (!step.done) step = protocol.next(perform(step.value));
  return step.value;
}

/** A text attribute of the kernel, such as "sev_guest\n". */
export function attributeText(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, MAX_ATTRIBUTE_BYTES)).trim();
}

export const MAX_ATTRIBUTE_BYTES = 4096;

/** Report data as hardware takes it: 64 bytes, the given ones first. */
export function paddedReportData(reportData: Uint8Array): Uint8Array {
  assert(reportData.length <= REPORT_DATA_BYTES, "Report data is no longer than hardware takes");
  const padded = new Uint8Array(REPORT_DATA_BYTES);
  padded.set(reportData);
  return padded;
}

export const REPORT_DATA_BYTES = 64;
