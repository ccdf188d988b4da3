/**
 * Requests to the security processor through /dev/sev-guest: reports where there is no configfs-tsm, and derived keys.
 *
 * In: report data, or what a key is to depend on. Out: a report with what the hypervisor has of certificates; a key.
 * Knows nothing of pointers: the host puts them in (`node/sev_guest_device.ts`).
 * Format: Linux include/uapi/linux/sev-guest.h; AMD 56860 tables 18 to 23; attestation/formats.md §5.2
 *
 *     request of a report (96)        response (4000)
 *      0  64  report data              0   4  status, 0 where it worked
 *     64   4  VMPL                     4   4  size of the report
 *     68  28  zero                     8  24  zero
 *                                     32      the report
 *
 *     request of a key (32)           response (64)
 *      0   4  root key                 0   4  status
 *      4   4  zero                     4  28  zero
 *      8   8  fields to mix in        32  32  the key
 *     16   4  VMPL
 *     20   4  guest SVN
 *     24   8  TCB version
 */

import { assert } from "../../shared/assert.ts";
import { Reader, Writer } from "../../shared/bytes.ts";
import { MAX_SEV_CERTIFICATE_BYTES, MAX_SEV_GUEST_WAITS, SEV_GUEST_WAIT_MS } from "../../shared/limits.ts";
import {
  type DeviceError,
  type DeviceOutcome,
  failureOf,
  paddedReportData,
  PlatformFailure,
  type Protocol,
  type SevGuestOperation,
} from "./devices.ts";

export const SEV_GUEST = "/dev/sev-guest";

export const REPORT_REQUEST_BYTES = 96;
export const REPORT_RESPONSE_BYTES = 4000;
export const KEY_REQUEST_BYTES = 32;
export const KEY_RESPONSE_BYTES = 64;

const RESPONSE_HEADER_BYTES = 32;
const KEY_BYTES = 32;
const TCB_BYTES = 8;
/** Certificates take whole pages. */
const PAGE_BYTES = 4096;
/** Room that is offered first: what hypervisors give are three certificates. */
const FIRST_CERTIFICATE_BYTES = 4 * PAGE_BYTES;

/** Errors of the hypervisor (`SNP_GUEST_VMM_ERR_…`). */
const TOO_LITTLE_ROOM = 1;
const HYPERVISOR_BUSY = 2;

/** What a derived key depends on besides the chip, the security policy (host data) and the root key, as bits. */
export const KEY_FIELD = {
  policy: 1,
  imageId: 2,
  familyId: 4,
  measurement: 8,
  guestSvn: 16,
  tcbVersion: 32,
} as const;

export interface SevGuestReport {
  readonly report: Uint8Array;
  /** A table of certificates, as in auxblob of configfs-tsm; may be empty, and proves nothing. */
  readonly certificates: Uint8Array;
}

/**
 * Asks for a report, with the hypervisor's certificates where it has some.
 *
 * @param reportData at most 64 bytes
 * @throws PlatformFailure
 */
export function* sevGuestReport(reportData: Uint8Array): Protocol<SevGuestReport> {
  const bytes = serialiseReportRequest(reportData);
  let certificateBytes = FIRST_CERTIFICATE_BYTES;
  let outcome = yield* ask({ kind: "sevGuest", request: "extendedReport", bytes, certificateBytes });
  if (!outcome.isDone && outcome.hypervisorError === TOO_LITTLE_ROOM) {
    certificateBytes = Math.ceil((outcome.wantedBytes ?? 0) / PAGE_BYTES) * PAGE_BYTES;
    if (certificateBytes <= MAX_SEV_CERTIFICATE_BYTES) {
      outcome = yield* ask({ kind: "sevGuest", request: "extendedReport", bytes, certificateBytes });
    }
  }
  // A hypervisor that knows nothing of certificates, or has too many, may still pass on the request for the report.
  if (!outcome.isDone && outcome.hypervisorError === TOO_LITTLE_ROOM) {
    outcome = yield* ask({ kind: "sevGuest", request: "report", bytes, certificateBytes: 0 });
  }
  if (!outcome.isDone) throw sevGuestFailure("a report", outcome);
  return { report: parseReportResponse(outcome.bytes), certificates: outcome.certificates ?? new Uint8Array() };
}

/**
 * Asks for a key that only this chip gives to this code: 32 bytes, the same at each time.
 *
 * The root is the chip's own key. The guest's policy, the measurement and this TCB version are mixed in by our choice, host
 * data by the processor's: other code, another chip or older firmware get another key, or none. So does the same code
 * launched for debugging, into whose memory the host can look: CCF leaves the policy out (nodes-and-attestation.md §6).
 *
 * @param tcbVersion 8 bytes as in a report's REPORTED_TCB
 * @throws PlatformFailure
 */
export function* sevDerivedKey(tcbVersion: Uint8Array): Protocol<Uint8Array> {
  const bytes = serialiseKeyRequest(KEY_FIELD.policy | KEY_FIELD.measurement | KEY_FIELD.tcbVersion, tcbVersion);
  const outcome = yield* ask({ kind: "sevGuest", request: "derivedKey", bytes, certificateBytes: 0 });
  if (!outcome.isDone) throw sevGuestFailure("a key", outcome);
  return parseKeyResponse(outcome.bytes);
}

/** Waits, where the hypervisor limits how often it is asked. */
function* ask(operation: SevGuestOperation): Protocol<DeviceOutcome> {
  for (let waits = 0;; waits++) {
    const outcome = yield operation;
    if (outcome.isDone || !isPassing(outcome) || waits === MAX_SEV_GUEST_WAITS) return outcome;
    yield { kind: "wait", ms: SEV_GUEST_WAIT_MS };
  }
}

function isPassing({ code, hypervisorError }: DeviceError): boolean {
  return hypervisorError === HYPERVISOR_BUSY || code === "EAGAIN" || code === "EINTR" || code === "EBUSY";
}

function sevGuestFailure(what: string, error: DeviceError): PlatformFailure {
  const { firmwareError = 0, hypervisorError = 0 } = error;
  const advice = hypervisorError === HYPERVISOR_BUSY
    ? "the hypervisor limits requests; start the node again later"
    : `firmware error ${firmwareError}, hypervisor error ${hypervisorError}; look into the kernel's log`;
  return failureOf(`get ${what} from ${SEV_GUEST}`, error, advice);
}

// ---- The structures ----

/** VMPL 0: that of a guest without a module of its own below. */
export function serialiseReportRequest(reportData: Uint8Array): Uint8Array {
  return new Writer(REPORT_REQUEST_BYTES).bytes(paddedReportData(reportData)).u32(0).zeros(28).finish();
}

/** @throws PlatformFailure where the firmware refused, or the answer is none */
export function parseReportResponse(bytes: Uint8Array): Uint8Array {
  requireLength(bytes, REPORT_RESPONSE_BYTES, "a report");
  const reader = new Reader(bytes);
  requireSuccess(reader.u32(), "a report");
  const size = reader.u32();
  const room = REPORT_RESPONSE_BYTES - RESPONSE_HEADER_BYTES;
  if (size > room) throw unusable("a report", `it is to have ${size} bytes, and there is room for ${room}`);
  return bytes.slice(RESPONSE_HEADER_BYTES, RESPONSE_HEADER_BYTES + size);
}

/** Root key 0: the chip's; VMPL 0 and guest SVN 0, which are not mixed in. */
export function serialiseKeyRequest(fields: number, tcbVersion: Uint8Array): Uint8Array {
  assert(tcbVersion.length === TCB_BYTES, "A TCB version has 8 bytes");
  return new Writer(KEY_REQUEST_BYTES).u32(0).u32(0).u64(fields).u32(0).u32(0).bytes(tcbVersion).finish();
}

/** @throws PlatformFailure as `parseReportResponse` */
export function parseKeyResponse(bytes: Uint8Array): Uint8Array {
  requireLength(bytes, KEY_RESPONSE_BYTES, "a key");
  requireSuccess(new Reader(bytes).u32(), "a key");
  const key = bytes.slice(RESPONSE_HEADER_BYTES, RESPONSE_HEADER_BYTES + KEY_BYTES);
  if (key.every((byte) => byte === 0)) throw unusable("a key", "it is all zeros");
  return key;
}

function requireLength(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length) throw unusable(what, `the answer has ${bytes.length} bytes, not ${length}`);
}

/** Status words of AMD 56860, "SNP Guest Messages". */
const STATUS: Readonly<Record<number, string>> = { 0x16: "invalid parameters", 0x27: "invalid key selection" };

function requireSuccess(status: number, what: string): void {
  if (status === 0) return;
  const meaning = STATUS[status] === undefined ? "" : `, ${STATUS[status]}`;
  throw unusable(what, `the firmware answers with status 0x${status.toString(16)}${meaning}`);
}

function unusable(what: string, why: string): PlatformFailure {
  return new PlatformFailure(
    `Cannot get ${what} from ${SEV_GUEST}: ${why}; is the firmware of this machine up to date?`,
  );
}
