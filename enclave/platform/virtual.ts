/**
 * The platform that protects nothing: a stand-in for attested hardware, for development and tests.
 *
 * In: a digest that stands for the running code, and report data. Out: evidence that nobody signed.
 * Format: governance.md §7.
 */

import { toBase64, toHex, toUtf8 } from "../../shared/bytes.ts";

export const VIRTUAL_MEASUREMENT = "Insecure hard-coded virtual measurement v1";

/**
 * Base64 of the evidence: three claims as JSON.
 *
 * @param hostData hex SHA-256 that stands for the code
 * @param reportData SHA-256 of the node's public key (SPKI DER)
 */
export function virtualQuote(hostData: string, reportData: Uint8Array): string {
  const claims = { host_data: hostData, measurement: VIRTUAL_MEASUREMENT, report_data: toBase64(reportData) };
  return toBase64(toUtf8(JSON.stringify(claims)));
}

/** What `code_digest` holds on this platform: hex of the measurement's text. */
export const VIRTUAL_CODE_DIGEST = toHex(toUtf8(VIRTUAL_MEASUREMENT));
