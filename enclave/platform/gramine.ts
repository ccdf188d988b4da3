/**
 * Evidence from inside an SGX enclave under Gramine: the files that it shows in /dev/attestation.
 *
 * In: at most 64 bytes of report data. Out: a DCAP quote of version 3, uninterpreted.
 * Protocol: attestation/formats.md §5.3. What is written holds for the whole process: one request at a time.
 */

import { MAX_TSM_REPORT_BYTES } from "../../shared/limits.ts";
import {
  attributeText,
  failureOf,
  MAX_ATTRIBUTE_BYTES,
  paddedReportData,
  PlatformFailure,
  type Protocol,
} from "./devices.ts";

export const GRAMINE_DIRECTORY = "/dev/attestation";
const TYPE = `${GRAMINE_DIRECTORY}/attestation_type`;
const REPORT_DATA = `${GRAMINE_DIRECTORY}/user_report_data`;
const QUOTE = `${GRAMINE_DIRECTORY}/quote`;

/** "dcap", or "none" where the manifest does not ask for remote attestation; undefined outside Gramine. */
export function* gramineAttestationType(): Protocol<string | undefined> {
  const read = yield { kind: "read", path: TYPE, maxBytes: MAX_ATTRIBUTE_BYTES };
  if (read.isDone) return attributeText(read.bytes);
  if (read.code === "ENOENT" || read.code === "ENOTDIR") return undefined;
  throw failureOf(`read ${TYPE}`, read, "look into Gramine's log");
}

/** @throws PlatformFailure */
export function* gramineQuote(reportData: Uint8Array): Protocol<Uint8Array> {
  const written = yield { kind: "write", path: REPORT_DATA, bytes: paddedReportData(reportData) };
  if (!written.isDone) throw failureOf(`write ${REPORT_DATA}`, written, "look into Gramine's log");
  const read = yield { kind: "read", path: QUOTE, maxBytes: MAX_TSM_REPORT_BYTES };
  if (!read.isDone) {
    throw failureOf(`read ${QUOTE}`, read, "is the quoting service (aesmd) of the machine running and reachable?");
  }
  if (read.bytes.length === 0) {
    throw new PlatformFailure(`Cannot use ${QUOTE}: it is empty; is the quoting service of the machine running?`);
  }
  return read.bytes;
}
