/**
 * Evidence of the virtual platform: three claims as JSON, which nobody signed and anybody can write.
 *
 * In: the bytes. Out: the claims. Knows nothing of who may join.
 * Format: nodes-and-attestation.md §8
 *
 *     {"host_data":"<hex SHA-256 that stands for the program>",
 *      "measurement":"Insecure hard-coded virtual measurement v1",
 *      "report_data":"<base64 of the SHA-256 of the node's key>"}
 */

import { FormatError } from "../assert.ts";
import { fromBase64 } from "../bytes.ts";
import { parseJsonBytes } from "../json.ts";
import { object, text } from "../json_shape.ts";
import { MAX_EVIDENCE_BYTES, MAX_VIRTUAL_MEASUREMENT_CHARACTERS } from "../limits.ts";

export interface VirtualClaims {
  readonly platform: "virtual";
  /** A text, on this platform. */
  readonly measurement: string;
  /** Hex of a SHA-256, in lower case; undefined where the evidence has none, or another text in its place. */
  readonly hostData: string | undefined;
  /** 32 bytes. */
  readonly reportData: Uint8Array;
}

const REPORT_DATA_BYTES = 32;
const HOST_DATA = /^[0-9a-f]{64}$/;

const shape = object({ measurement: text, report_data: text }, { host_data: text });

/** @throws FormatError */
export function parseVirtualEvidence(bytes: Uint8Array): VirtualClaims {
  if (bytes.length > MAX_EVIDENCE_BYTES) {
    throw new FormatError(`The evidence is longer than ${MAX_EVIDENCE_BYTES} bytes`);
  }
  const claims = shape(parseJsonBytes(bytes), "");
  const reportData = fromBase64(claims.report_data);
  if (reportData.length !== REPORT_DATA_BYTES) {
    throw new FormatError(`The report data has ${reportData.length} bytes, not ${REPORT_DATA_BYTES}`);
  }
  const { measurement } = claims;
  if (measurement.length > MAX_VIRTUAL_MEASUREMENT_CHARACTERS || !measurement.isWellFormed()) {
    throw new FormatError(`The measurement is no text of at most ${MAX_VIRTUAL_MEASUREMENT_CHARACTERS} characters`);
  }
  const hostData = claims.host_data?.toLowerCase();
  return {
    platform: "virtual",
    measurement,
    hostData: hostData !== undefined && HOST_DATA.test(hostData) ? hostData : undefined,
    reportData,
  };
}
